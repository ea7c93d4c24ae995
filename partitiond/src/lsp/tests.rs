//! The server as an editor sees it: messages there and back over pipes.

use std::io::{BufReader, PipeReader, PipeWriter, Write, pipe};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::*;

/// An editor.
struct Editor {
    to: Option<PipeWriter>,
    from: BufReader<PipeReader>,
    server: Option<JoinHandle<Result<Ending, String>>>,
    next: i64,
}

impl Editor {
    /// Before it has said anything.
    fn silent() -> Self {
        let (theirs, to) = pipe().unwrap();
        let (from, ours) = pipe().unwrap();
        let server = std::thread::spawn(move || {
            serve(theirs, ours, &|_| {}).map_err(|error| error.to_string())
        });
        Self { to: Some(to), from: BufReader::new(from), server: Some(server), next: 1 }
    }

    fn start() -> Self {
        let mut editor = Self::silent();
        let answer = editor.ask("initialize", json!({ "capabilities": {} }));
        assert_eq!(answer["result"]["capabilities"]["positionEncoding"], "utf-16");
        editor.say("initialized", json!({}));
        editor
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.to.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn send(&mut self, message: &Value) {
        frame::write(self.to.as_mut().unwrap(), &message.to_string()).unwrap();
    }

    fn say(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    fn read(&mut self) -> Option<Value> {
        match frame::read(&mut self.from).unwrap()? {
            Frame::Message(message) => Some(message),
            Frame::Malformed(error) => panic!("{error}"),
        }
    }

    /// The whole answer; what is told in between is passed over.
    fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        loop {
            let message = self.read().expect("an answer");
            if message["id"] == id {
                return message;
            }
        }
    }

    fn open(&mut self, uri: &str, text: &str) {
        let document =
            json!({ "uri": uri, "languageId": "kernelscript", "version": 1, "text": text });
        self.say("textDocument/didOpen", json!({ "textDocument": document }));
    }

    fn change(&mut self, version: i32, changes: Value) {
        let document = json!({ "uri": URI, "version": version });
        let params = json!({ "textDocument": document, "contentChanges": changes });
        self.say("textDocument/didChange", params);
    }

    /// What is told of a script: at once, and once kernels have been asked where that is waited for.
    fn told(&mut self, uri: &str) -> Vec<Value> {
        loop {
            let message = self.read().expect("diagnostics");
            if message["method"] == "textDocument/publishDiagnostics"
                && message["params"]["uri"] == uri
            {
                let Value::Array(told) = message["params"]["diagnostics"].clone() else { panic!() };
                return told;
            }
        }
    }

    fn at(&mut self, method: &str, line: u32, character: u32) -> Value {
        let position = json!({ "line": line, "character": character });
        let params = json!({ "textDocument": { "uri": URI }, "position": position });
        self.ask(method, params)["result"].clone()
    }

    fn end(&mut self) -> Result<Ending, String> {
        self.to = None;
        self.server.take().unwrap().join().expect("no panic")
    }
}

const URI: &str = "file:///no/such/folder/a.ks";

fn range(line: u32, start: u32, end: u32) -> Value {
    json!({ "start": { "line": line, "character": start }, "end": { "line": line, "character": end } })
}

#[test]
fn faults_are_told_where_an_editor_counts_them() {
    let mut editor = Editor::start();
    // 𝄞 is two units for the editor, and four bytes.
    editor.open(URI, "profile p {\n    /* no */\n    block \"𝄞é\" { sheduler = none }\n}\n");
    let told = editor.told(URI);
    assert!(!told.is_empty() && told.iter().all(|it| it["source"] == "partitiond"), "{told:?}");
    editor.change(2, json!([{ "range": range(1, 4, 12), "text": "// ja" }]));
    assert_eq!(editor.told(URI), Vec::<Value>::new());
    let told = editor.told(URI);
    assert_eq!(told[0]["code"], "KS0300", "{told:?}");
    assert_eq!(told[0]["range"], range(2, 18, 26));
    assert!(told[0]["message"].as_str().unwrap().contains("block.scheduler"), "{told:?}");
}

#[test]
fn what_kernels_say_stays_until_they_are_asked_again() {
    let mut editor = Editor::start();
    editor.open(URI, "profile p {\n    // 𝄞\n    vm.swapiness = 3\n}\n");
    assert!(editor.told(URI).is_empty());
    let told = editor.told(URI);
    assert_eq!(told[0]["range"], range(2, 4, 16));
    // Moved along at once, although a bracket is missing and nobody asks kernels.
    editor.change(2, json!([{ "range": range(1, 7, 9), "text": "𝄞𝄞\n{" }]));
    let told = editor.told(URI);
    let unknown = told.iter().find(|it| it["code"] == "KS0300").expect("still there");
    assert_eq!(unknown["range"], range(3, 4, 16));
    // Its own text has changed: no longer.
    editor.change(3, json!([{ "range": range(3, 8, 8), "text": "p" }]));
    assert!(editor.told(URI).iter().all(|it| it["code"] != "KS0300"));
}

#[test]
fn faults_can_be_mended() {
    let mut editor = Editor::start();
    editor.open(URI, "profile p {\n    vm.swapiness = 3\n}\n");
    editor.told(URI);
    editor.told(URI);
    let params = json!({
        "textDocument": { "uri": URI }, "range": range(1, 6, 6), "context": { "diagnostics": [] },
    });
    let actions = editor.ask("textDocument/codeAction", params)["result"].clone();
    let edit = &actions[0]["edit"]["changes"][URI][0];
    assert_eq!(edit["newText"], "vm.swappiness");
    assert_eq!(edit["range"], range(1, 4, 16));
}

#[test]
fn completion_hover_and_definition_follow_each_change() {
    let mut editor = Editor::start();
    editor.open(URI, "profile é𝄞 {}\nprofile p extends {\n    // 𝄞\n    vm.\n}\n");
    editor.change(2, json!([{ "range": range(3, 7, 7), "text": "swap" }]));
    let list = editor.at("textDocument/completion", 3, 11);
    assert_eq!(list["items"][0]["label"], "vm.swappiness", "{list}");
    assert_eq!(list["items"][0]["textEdit"]["range"], range(3, 4, 11));
    editor.change(3, json!([{ "range": range(3, 4, 11), "text": "/* 𝄞 */ vm.swappiness" }]));
    editor.change(4, json!([{ "range": range(3, 4, 13), "text": "" }]));
    let hover = editor.at("textDocument/hover", 3, 8);
    assert_eq!(hover["range"], range(3, 4, 17), "{hover}");
    assert!(hover["contents"]["value"].as_str().unwrap().contains("swap"), "{hover}");
    editor.change(5, json!([{ "range": range(1, 18, 18), "text": "p0" }, { "text": "profile q {}\nprofile p extends q {}\n" }]));
    let place = editor.at("textDocument/definition", 1, 19);
    assert_eq!(place, json!({ "uri": URI, "range": range(0, 8, 9) }));
    assert_eq!(editor.at("textDocument/hover", 99, 99), Value::Null);
}

#[test]
fn formatting_is_one_edit() {
    let mut editor = Editor::start();
    let format = |editor: &mut Editor| {
        let options = json!({ "tabSize": 4, "insertSpaces": true });
        let params = json!({ "textDocument": { "uri": URI }, "options": options });
        editor.ask("textDocument/formatting", params)["result"].clone()
    };
    editor.open(URI, "// 𝄞\nprofile p {vm.swappiness=3} // 𝄞");
    let edits = format(&mut editor);
    assert_eq!(edits[0]["newText"], "// 𝄞\nprofile p { vm.swappiness = 3 }  // 𝄞\n");
    assert_eq!(edits[0]["range"]["end"], json!({ "line": 1, "character": 33 }));
    editor.change(2, json!([{ "text": edits[0]["newText"] }]));
    assert_eq!(format(&mut editor), json!([]));
    editor.change(3, json!([{ "text": "profile {" }]));
    assert_eq!(format(&mut editor), Value::Null, "a script with errors stays as it is");
}

#[test]
fn what_is_extended_is_found_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("base.ks", "/// Über alles.\nprofile base { vm.swappiness = 3 }\npolicy {}\n");
    write("broken.ks", "profile base2 {");
    std::fs::create_dir(folder.path().join("folder.ks")).unwrap();
    let uri = uri::of(&folder.path().join("ä b.ks"));
    let base = uri::of(&folder.path().join("base.ks"));
    let mut editor = Editor::start();
    editor.open(&uri, "profile p extends base, oltp {}\n");
    assert!(editor.told(&uri).is_empty());
    let position = json!({ "line": 0, "character": 19 });
    let params = json!({ "textDocument": { "uri": uri }, "position": position });
    let place = editor.ask("textDocument/definition", params)["result"].clone();
    assert_eq!(place, json!({ "uri": base, "range": range(1, 8, 12) }));
    // What is open counts, not what lies there; who extends it hears of that when it is saved.
    editor.open(&base, "profile other {}\n");
    editor.say("textDocument/didSave", json!({ "textDocument": { "uri": base } }));
    // What kernels say of the first state may still come, which is nothing.
    let told = std::iter::repeat_with(|| editor.told(&uri)).find(|told| !told.is_empty());
    assert_eq!(told.unwrap()[0]["code"], "KS0200");
    editor.say("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    assert!(editor.told(&uri).is_empty());
}

#[test]
fn what_an_inherited_script_says_is_told_in_the_heir() {
    let folder = tempfile::tempdir().unwrap();
    let base = "profile base { vm.swapiness = 3 }\n";
    std::fs::write(folder.path().join("base.ks"), base).unwrap();
    let uri = uri::of(&folder.path().join("heir.ks"));
    let mut editor = Editor::start();
    editor.open(&uri, "profile heir extends base {}\n");
    assert!(editor.told(&uri).is_empty());
    let told = editor.told(&uri);
    assert_eq!(told[0]["range"], range(0, 8, 12), "{told:?}");
    assert!(told[0]["message"].as_str().unwrap().contains("base.ks:1: "), "{told:?}");
}

#[test]
fn nonsense_is_answered_and_survived() {
    let mut editor = Editor::silent();
    let code = |answer: &Value| answer["error"]["code"].as_i64();
    assert_eq!(code(&editor.ask("textDocument/hover", json!({}))), Some(-32002));
    editor.say("textDocument/didOpen", json!({}));
    editor.ask("initialize", json!({}));
    assert_eq!(code(&editor.ask("initialize", json!({}))), Some(-32600));
    editor.raw(b"Content-Length: 4\r\n\r\n{a:}");
    assert_eq!(code(&editor.read().unwrap()), Some(-32700));
    editor.raw(b"Content-Length: 2\r\n\r\n[]");
    assert_eq!(code(&editor.read().unwrap()), Some(-32700));
    assert_eq!(code(&editor.ask("no/such", json!({}))), Some(-32601));
    assert_eq!(
        code(&editor.ask("textDocument/hover", json!({ "position": "here" }))),
        Some(-32602)
    );
    for params in [json!({}), json!({ "textDocument": 3 }), Value::Null] {
        editor.say("textDocument/didChange", params);
    }
    editor.change(9, json!([{ "text": "not open" }]));
    let letter = json!({ "uri": "file:///letter.txt", "languageId": "plaintext", "version": 1, "text": "{" });
    editor.say("textDocument/didOpen", json!({ "textDocument": letter }));
    editor.open(URI, "profile p {}\n");
    let far = u32::MAX;
    let everywhere = json!({
        "start": { "line": far, "character": far }, "end": { "line": 0, "character": 3 },
    });
    editor.change(
        2,
        json!([{ "range": everywhere, "text": "é" }, { "range": range(0, 7, 2), "text": "𝄞" }]),
    );
    editor.change(3, json!([{ "text": "x".repeat(2 << 20) }]));
    editor.at("textDocument/completion", 0, 1_500_000);
    editor.at("textDocument/hover", far, far);
    editor.change(4, json!([{ "text": "{".repeat(50_000) }]));
    assert!(!editor.at("textDocument/completion", 0, 40_000).is_null());
    assert_eq!(editor.ask("shutdown", Value::Null)["result"], Value::Null);
    assert_eq!(code(&editor.ask("textDocument/hover", json!({}))), Some(-32600));
    editor.say("textDocument/didOpen", json!({}));
    editor.say("exit", Value::Null);
    assert_eq!(editor.end(), Ok(Ending::Orderly));
}

#[test]
fn an_editor_that_goes_away_ends_the_server() {
    assert_eq!(Editor::start().end(), Ok(Ending::Abrupt));
    let mut editor = Editor::silent();
    editor.raw(b"GET / HTTP/1.1\r\n\r\n");
    assert!(editor.end().unwrap_err().contains("Language Server Protocol"));
    let mut editor = Editor::start();
    editor.raw(b"Content-Length: 100\r\n\r\n{");
    assert!(editor.end().is_err());
}
