//! What was measured, as data, tables, plots and chapters of the book. Nothing here
//! measures.

pub mod capacity;
pub mod chapter;
pub mod comparison;
pub mod crowds;
pub mod curves;
pub mod figure;
pub mod loss;
pub mod network;
pub mod plot;
pub mod scaling;
pub mod tables;
