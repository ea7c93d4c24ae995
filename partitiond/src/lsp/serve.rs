//! The protocol: what an editor asks and says, and what it gets.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, DidSaveTextDocument, Exit,
    Notification, PublishDiagnostics,
};
use lsp_types::request::{
    CodeActionRequest, Completion, Formatting, GotoDefinition, HoverRequest, Initialize, Request,
    Shutdown,
};
use lsp_types::{
    CodeActionProviderCapability, CompletionOptions, HoverProviderCapability, InitializeResult,
    OneOf, PositionEncodingKind, PublishDiagnosticsParams, ServerCapabilities, ServerInfo,
    TextDocumentPositionParams, TextDocumentSyncCapability, TextDocumentSyncKind,
    TextDocumentSyncOptions, TextDocumentSyncSaveOptions, TextEdit, Uri,
};
use profiles::diagnostic::Source;
use profiles::editor::Cursor;
use profiles::scripts::Scripts;
use profiles::syntax::{Parse, fmt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::checker::{Checked, Checker};
use super::document::{Document, source};
use super::frame::{self, FrameError};
use super::neighbours::Neighbours;
use super::{Ending, convert, uri};

/// What editors call the language.
const LANGUAGE: &str = "kernelscript";

/// Codes of JSON-RPC and of the protocol.
const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const NOT_INITIALIZED: i32 = -32002;

/// What is answered where there is nothing to say.
const NOTHING: &str = "null";

/// Where in its life the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has said `initialize`.
    New,
    Running,
    /// `shutdown` was said: only `exit` may follow.
    Shut,
}

/// Why a request is not answered.
struct Refusal {
    code: i32,
    message: String,
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self { code: INVALID_PARAMS, message: error.to_string() }
    }
}

/// What is answered, as JSON.
type Answer = Result<String, Refusal>;

/// An open script, and the order under which kernels are asked about it.
struct Open {
    uri: Uri,
    document: Document,
    order: Option<u64>,
}

/// What serves an editor.
pub struct Server<'l, W> {
    to: W,
    log: &'l dyn Fn(&str),
    state: State,
    checker: Checker,
    neighbours: Neighbours,
    open: HashMap<String, Open>,
}

fn capabilities() -> ServerCapabilities {
    ServerCapabilities {
        position_encoding: Some(PositionEncodingKind::UTF16),
        text_document_sync: Some(TextDocumentSyncCapability::Options(TextDocumentSyncOptions {
            open_close: Some(true),
            change: Some(TextDocumentSyncKind::INCREMENTAL),
            save: Some(TextDocumentSyncSaveOptions::Supported(true)),
            ..TextDocumentSyncOptions::default()
        })),
        hover_provider: Some(HoverProviderCapability::Simple(true)),
        completion_provider: Some(CompletionOptions {
            trigger_characters: Some([".", "=", " "].map(str::to_owned).to_vec()),
            ..CompletionOptions::default()
        }),
        definition_provider: Some(OneOf::Left(true)),
        document_formatting_provider: Some(OneOf::Left(true)),
        code_action_provider: Some(CodeActionProviderCapability::Simple(true)),
        ..ServerCapabilities::default()
    }
}

impl<'l, W: Write> Server<'l, W> {
    /// One that has heard nothing yet.
    pub fn new(to: W, checker: Checker, log: &'l dyn Fn(&str)) -> Self {
        let (neighbours, open) = (Neighbours::default(), HashMap::new());
        Self { to, log, state: State::New, checker, neighbours, open }
    }

    /// Takes in what the editor says. How it ended, if that was the last.
    pub fn hear(&mut self, message: Value) -> Result<Option<Ending>, FrameError> {
        let Value::Object(mut message) = message else {
            return self.misunderstand("a message is an object").map(|()| None);
        };
        let params = message.remove("params").unwrap_or(Value::Null);
        match (message.remove("method"), message.remove("id")) {
            (Some(Value::String(method)), Some(id)) => {
                let answer = self.answer(&method, params);
                self.respond(id, answer)?;
            }
            (Some(Value::String(method)), None) if method == Exit::METHOD => {
                let orderly = self.state == State::Shut;
                return Ok(Some(if orderly { Ending::Orderly } else { Ending::Abrupt }));
            }
            (Some(Value::String(method)), None) if self.state == State::Running => {
                if let Some(Err(error)) = self.notice(&method, params)? {
                    (self.log)(&format!("{method} makes no sense, and is passed over: {error}"));
                }
            }
            (Some(Value::String(method)), None) => {
                (self.log)(&format!("{method} is passed over: the editor has not begun, or ended"));
            }
            // An answer: nothing is ever asked here.
            (None, Some(_)) => {}
            _ => self.misunderstand("a message has a method or answers one")?,
        }
        Ok(None)
    }

    /// Says that something makes no sense.
    pub fn misunderstand(&mut self, why: &str) -> Result<(), FrameError> {
        (self.log)(&format!("a message makes no sense, and is passed over: {why}"));
        let refusal = Refusal { code: PARSE_ERROR, message: why.to_owned() };
        self.respond(Value::Null, Err(refusal))
    }

    /// Takes in what kernels make of a script.
    pub fn checked(&mut self, found: Checked) -> Result<(), FrameError> {
        match self.open.get_mut(&found.uri) {
            Some(open) if open.order == Some(found.number) => {
                open.document.resolved(found.diagnostics);
                self.publish(&found.uri)
            }
            // It has changed since.
            _ => Ok(()),
        }
    }

    fn respond(&mut self, id: Value, answer: Answer) -> Result<(), FrameError> {
        let rest = match answer {
            Ok(result) => format!(r#""result":{result}"#),
            Err(Refusal { code, message }) => {
                format!(r#""error":{}"#, json!({ "code": code, "message": message }))
            }
        };
        frame::write(&mut self.to, &format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#))
    }

    fn answer(&mut self, method: &str, params: Value) -> Answer {
        let refuse = |code, message: &str| Err(Refusal { code, message: message.to_owned() });
        match (self.state, method) {
            (State::New, Initialize::METHOD) => {
                self.state = State::Running;
                let version = Some(env!("CARGO_PKG_VERSION").to_owned());
                Ok(serde_json::to_string(&InitializeResult {
                    capabilities: capabilities(),
                    server_info: Some(ServerInfo { name: "partitiond".to_owned(), version }),
                })?)
            }
            (State::New, _) => refuse(NOT_INITIALIZED, "`initialize` comes first"),
            (State::Running, Shutdown::METHOD) => {
                self.state = State::Shut;
                Ok(NOTHING.to_owned())
            }
            (State::Shut, _) => refuse(INVALID_REQUEST, "behind `shutdown` comes only `exit`"),
            (State::Running, Initialize::METHOD) => {
                refuse(INVALID_REQUEST, "`initialize` comes once")
            }
            (State::Running, Completion::METHOD) => self.at(params, |open, cursor| {
                let list = convert::completions(cursor.completions(), &open.document.lines);
                Some(serde_json::to_string(&list))
            }),
            (State::Running, HoverRequest::METHOD) => self.at(params, |open, cursor| {
                let hover = convert::hover(cursor.hover()?, &open.document.lines);
                Some(serde_json::to_string(&hover))
            }),
            (State::Running, GotoDefinition::METHOD) => self.at(params, |open, cursor| {
                let location = convert::location(cursor.definition()?, &open.document, &open.uri)?;
                Some(serde_json::to_string(&location))
            }),
            (State::Running, Formatting::METHOD) => self.format(params),
            (State::Running, CodeActionRequest::METHOD) => {
                let params: lsp_types::CodeActionParams = serde_json::from_value(params)?;
                let open = self.open.get(params.text_document.uri.as_str());
                let actions =
                    open.map(|open| convert::actions(&open.document, &open.uri, params.range));
                Ok(serde_json::to_string(&actions)?)
            }
            (State::Running, other) => {
                refuse(METHOD_NOT_FOUND, &format!("{other} is not known here"))
            }
        }
    }

    /// Asks about a place of an open script; null where nothing is known.
    fn at(
        &self,
        params: Value,
        ask: impl FnOnce(&Open, &Cursor<'_>) -> Option<serde_json::Result<String>>,
    ) -> Answer {
        let at: TextDocumentPositionParams = serde_json::from_value(params)?;
        let Some(open) = self.open.get(at.text_document.uri.as_str()) else {
            return Ok(NOTHING.to_owned());
        };
        let document = &open.document;
        let offset = document.lines.offset(at.position);
        let cursor = Cursor::new(document.lines.text(), &document.parse, &document.scripts, offset);
        Ok(ask(open, &cursor).transpose()?.unwrap_or_else(|| NOTHING.to_owned()))
    }

    /// The canonical form as one edit; null for a script with errors.
    fn format(&self, params: Value) -> Answer {
        let params: lsp_types::DocumentFormattingParams = serde_json::from_value(params)?;
        let open = self.open.get(params.text_document.uri.as_str());
        let edits = open.and_then(|open| {
            let text = open.document.lines.text();
            let formatted = fmt::format(&open.document.parse).ok()?;
            let range = open.document.lines.range(0..text.len());
            let edit = (formatted != text).then_some(TextEdit { range, new_text: formatted });
            Some(edit.into_iter().collect::<Vec<_>>())
        });
        Ok(serde_json::to_string(&edits)?)
    }

    /// Takes in what happened to a script. None for what is of no interest; an error for what is malformed.
    fn notice(
        &mut self,
        method: &str,
        params: Value,
    ) -> Result<Option<serde_json::Result<()>>, FrameError> {
        fn with<N: Notification<Params: DeserializeOwned>>(
            params: Value,
            then: impl FnOnce(N::Params) -> Result<(), FrameError>,
        ) -> Result<Option<serde_json::Result<()>>, FrameError> {
            match serde_json::from_value(params) {
                Ok(params) => then(params).map(|()| Some(Ok(()))),
                Err(error) => Ok(Some(Err(error))),
            }
        }
        match method {
            DidOpenTextDocument::METHOD => with::<DidOpenTextDocument>(params, |params| {
                let it = params.text_document;
                // Editors that know no other name for the language call it plain text.
                if it.language_id != LANGUAGE && !it.uri.as_str().ends_with(".ks") {
                    (self.log)(&format!("{} is left alone: it is no script", it.uri.as_str()));
                    return Ok(());
                }
                let key = it.uri.as_str().to_owned();
                let read = |text: &str, parse: &Parse| self.read(&key, text, parse);
                let document = Document::new(it.version, it.text, read);
                self.open.insert(key.clone(), Open { uri: it.uri, document, order: None });
                self.told(&key)
            }),
            DidChangeTextDocument::METHOD => with::<DidChangeTextDocument>(params, |params| {
                let key = params.text_document.uri.as_str();
                // Taken out while it changes: what it extends may be open, too.
                let Some(mut open) = self.open.remove(key) else { return Ok(()) };
                let version = params.text_document.version;
                let read = |text: &str, parse: &Parse| self.read(key, text, parse);
                open.document.change(version, params.content_changes, read);
                self.open.insert(key.to_owned(), open);
                self.told(key)
            }),
            DidSaveTextDocument::METHOD => with::<DidSaveTextDocument>(params, |params| {
                self.others(params.text_document.uri.as_str())
            }),
            DidCloseTextDocument::METHOD => with::<DidCloseTextDocument>(params, |params| {
                let uri = params.text_document.uri;
                self.open.remove(uri.as_str());
                self.checker.forget(uri.as_str());
                self.notify(PublishDiagnosticsParams {
                    uri,
                    diagnostics: Vec::new(),
                    version: None,
                })
            }),
            _ => Ok(None),
        }
    }

    /// Reads a script with what it extends.
    fn read(&mut self, key: &str, text: &str, parse: &Parse) -> Scripts {
        let Some(own) = uri::path(key) else {
            return Scripts::among(source(text), parse, &mut |_| Vec::new());
        };
        let Self { open, neighbours, .. } = self;
        let opened = |path: &Path| {
            // Editors differ in which characters of a path they write as they are.
            let mut open = open.iter();
            let (_, open) = open.find(|(key, _)| uri::path(key).as_deref() == Some(path))?;
            Some(Source::new(&path.to_string_lossy(), open.document.lines.text()))
        };
        Scripts::among(source(text), parse, &mut |missing| {
            neighbours.defining(&own, missing, &opened)
        })
    }

    /// Looks again at the open scripts beside one that was saved: they may extend it.
    fn others(&mut self, saved: &str) -> Result<(), FrameError> {
        let folder = |key: &str| uri::path(key).and_then(|path| path.parent().map(Path::to_owned));
        let beside = folder(saved);
        let keys: Vec<String> = self.open.keys().filter(|key| *key != saved).cloned().collect();
        for key in keys.into_iter().filter(|key| beside.is_some() && folder(key) == beside) {
            if let Some(mut open) = self.open.remove(&key) {
                let version = open.document.version;
                let read = |text: &str, parse: &Parse| self.read(&key, text, parse);
                open.document.change(version, Vec::new(), read);
                self.open.insert(key.clone(), open);
                self.told(&key)?;
            }
        }
        Ok(())
    }

    /// Tells what is wrong with a script, and has kernels asked about it.
    fn told(&mut self, key: &str) -> Result<(), FrameError> {
        self.publish(key)?;
        if let Some(open) = self.open.get_mut(key) {
            let asked = open.document.can_be_resolved();
            open.order = asked.then(|| self.checker.order(key, &open.document.scripts));
        }
        Ok(())
    }

    fn publish(&mut self, key: &str) -> Result<(), FrameError> {
        let Some(open) = self.open.get(key) else { return Ok(()) };
        let diagnostics = convert::diagnostics(&open.document, &open.uri);
        let version = Some(open.document.version);
        self.notify(PublishDiagnosticsParams { uri: open.uri.clone(), diagnostics, version })
    }

    fn notify(&mut self, params: PublishDiagnosticsParams) -> Result<(), FrameError> {
        let method = PublishDiagnostics::METHOD;
        let params = serde_json::to_string(&params).map_err(std::io::Error::from)?;
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        frame::write(&mut self.to, &text)
    }
}
