//! The checks of a page, by their names.

use crate::{
    check::{self, Check},
    command, figures, terms,
};

/// All checks, but for the output that the pages show and the site that they make.
pub const CHECKS: [(&str, Check); 11] = [
    ("code", |book, page| Ok(book.code(page))),
    ("provenance", |_, page| Ok(check::provenance(page))),
    ("switch", |_, page| Ok(check::switch(page))),
    ("links", |book, page| Ok(book.links(page))),
    ("places", |book, page| Ok(book.places(page))),
    ("parity", |book, page| Ok(book.parity(page))),
    ("figures", figures::faults),
    ("commands", command::faults),
    ("terms", terms::faults),
    ("typography", |_, page| check::typography(page)),
    ("plans", |_, page| check::plans(page)),
];
