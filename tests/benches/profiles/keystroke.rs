//! An editor at a script of 2,000 lines, over the server's standard input and output.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use profiles::catalogue::{Catalogue, Kernel, Kind, Presence, Scope};
use serde_json::{Value, json};

use super::within;
use crate::Bench;
use crate::figures::{Table, median};

const GOAL_MS: f64 = 10.0;
const LINES: usize = 2000;
/// Letters that are typed.
const STROKES: usize = 200;
const URI: &str = "file:///no/such/folder/large.ks";

pub fn run(bench: &Bench) -> String {
    let text = script();
    let lines = text.lines().count();
    bench.say(&format!("typing {STROKES} letters into a script of {lines} lines"));
    let mut editor = Editor::start();
    editor.open(&text);
    // In the middle of the script, at the name of a setting.
    let middle = text.lines().collect::<Vec<_>>();
    let line = (lines / 2..).find(|at| middle[*at].contains(" = ")).expect("a setting");
    let column = middle[line].find(" = ").expect("its sign");
    let [mut told, mut ran, mut offered, mut known, mut all] = <[Vec<f64>; 5]>::default();
    for stroke in 0..STROKES {
        // A letter comes and goes: every second state of the script is right.
        let (end, letter) = if stroke % 2 == 0 { (column, "x") } else { (column + 1, "") };
        let before = editor.ran();
        let begun = Instant::now();
        editor.change(line, column, end, letter);
        editor.diagnostics();
        told.push(since(begun));
        ran.push((editor.ran() - before) / 1e6);
        let begun = Instant::now();
        editor.ask("textDocument/completion", line, column);
        offered.push(since(begun));
        let begun = Instant::now();
        editor.ask("textDocument/hover", line, column);
        known.push(since(begun));
        let begun = Instant::now();
        editor.change(line, column, column, "");
        editor.diagnostics();
        editor.diagnostics();
        all.push(since(begun));
    }
    let mut table = Table::new(["after a keystroke", "median", "95 of 100", "goal"]);
    let mut row = |what: &str, times: &[f64], goal: bool| {
        let goal = if goal { within(GOAL_MS, median(times)) } else { "for comparison".to_owned() };
        let cells = [median(times), most(times)].map(|ms| format!("{ms:.2} ms"));
        let [median, most] = cells;
        table.row([what.to_owned(), median, most, goal]);
    };
    row("what is wrong, kernels aside", &told, true);
    row("CPU time of the server for that", &ran, false);
    row("completion, asked right behind it", &offered, true);
    row("hover, asked right behind it", &known, true);
    row("what twelve kernels make of it, too", &all, false);
    format!(
        "{}\nOver standard input and output of `partitiond profile lsp`, in a script of {lines} lines and \
         {} KiB. What kernels made of a script before stays beside its text until they have been asked again.\n",
        table.text(),
        text.len() >> 10,
    )
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn since(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1000.0
}

fn most(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() * 95 / 100]
}

/// Profiles of 200 settings each, with comments.
fn script() -> String {
    let catalogue = Catalogue::built_in().expect("a catalogue");
    let kernel: Kernel = "6.12-generic".parse().expect("a kernel");
    let plain: Vec<String> = catalogue
        .settings()
        .filter(|setting| {
            matches!(setting.scope, Scope::Global | Scope::NetNamespace)
                && matches!(setting.kind, Kind::Integer | Kind::Flag | Kind::Level(_))
                && matches!(kernel.find(setting), Presence::Present(_))
        })
        .map(|setting| {
            let default = setting.default.as_ref().and_then(|it| it.of(&kernel)).unwrap_or("1");
            format!("    {} = {default}\n", setting.name)
        })
        .take(200)
        .collect();
    let mut text = String::new();
    let mut lines = 0;
    for number in 0.. {
        let parent = if number == 0 { String::new() } else { format!(" extends p{}", number - 1) };
        text += &format!("/// Größe {number}.\nprofile p{number}{parent} {{\n");
        for (at, setting) in plain.iter().enumerate() {
            if at % 10 == 0 {
                text += "    // Why these are as they are — 𝄞.\n";
            }
            text += setting;
        }
        text += "}\n\n";
        lines += plain.len() + plain.len() / 10 + 4;
        if lines >= LINES {
            break;
        }
    }
    text
}

/// The server's other side.
struct Editor {
    server: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    version: i32,
}

impl Editor {
    fn start() -> Self {
        let mut server = Command::new(&scenarios::programs().partitiond)
            .args(["profile", "lsp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let to = server.stdin.take().expect("its standard input");
        let from = BufReader::new(server.stdout.take().expect("its standard output"));
        let mut editor = Self { server, to, from, version: 0 };
        editor.send(&json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {} }));
        editor.read();
        editor
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let framed = format!("Content-Length: {}\r\n\r\n{text}", text.len());
        self.to.write_all(framed.as_bytes()).expect("the server listens");
    }

    fn say(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// A message as it came: making sense of it is the editor's affair, and is not timed.
    fn read(&mut self) -> Vec<u8> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.from.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(": ") {
                Some(("Content-Length", value)) => length = value.parse().expect("a length"),
                Some(_) => {}
                None if line.trim_end().is_empty() => break,
                None => panic!("no header: {line}"),
            }
        }
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes).expect("a message");
        bytes
    }

    fn open(&mut self, text: &str) {
        let document =
            json!({ "uri": URI, "languageId": "kernelscript", "version": 0, "text": text });
        self.say("textDocument/didOpen", json!({ "textDocument": document }));
        self.diagnostics();
        self.diagnostics();
    }

    fn change(&mut self, line: usize, start: usize, end: usize, text: &str) {
        self.version += 1;
        let at = |character: usize| json!({ "line": line, "character": character });
        let change = json!({ "range": { "start": at(start), "end": at(end) }, "text": text });
        let document = json!({ "uri": URI, "version": self.version });
        let params = json!({ "textDocument": document, "contentChanges": [change] });
        self.say("textDocument/didChange", params);
    }

    /// Waits for what is told next of the newest state.
    fn diagnostics(&mut self) {
        let version = format!("\"version\":{}}}", self.version);
        while !has(&self.read(), &version) {}
    }

    /// Nanoseconds that the server's first thread, which answers, has run.
    fn ran(&self) -> f64 {
        let path = format!("/proc/{}/schedstat", self.server.id());
        let text = std::fs::read_to_string(path).expect("how long it ran");
        text.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
    }

    fn ask(&mut self, method: &str, line: usize, character: usize) {
        let position = json!({ "line": line, "character": character });
        let params = json!({ "textDocument": { "uri": URI }, "position": position });
        self.send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }));
        while !has(&self.read(), "\"id\":1,") {}
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
