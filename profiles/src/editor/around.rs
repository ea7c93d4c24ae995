//! What stands around a place: blocks, and what kind of thing they are in.

use rowan::{TextSize, TokenAtOffset};

use crate::script::DeviceKind;
use crate::syntax::ast::{AstNode, Group, Profile};
use crate::syntax::{Parse, SyntaxKind, SyntaxNode, SyntaxToken};

/// In what a place is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Region {
    /// Outside of everything, or before its braces.
    #[default]
    Top,
    Profile,
    Workload,
    Policy,
    Guard,
}

/// What stands around a place.
#[derive(Clone, Debug, Default)]
pub struct Around {
    pub region: Region,
    /// The profile that it is in.
    pub profile: Option<String>,
    /// The block for devices that it is in.
    pub devices: Option<DeviceKind>,
    /// The names of blocks, from outside in.
    pub names: Vec<String>,
    /// What the place is in, or right behind.
    pub token: Option<SyntaxKind>,
}

impl Around {
    /// Of a byte of a parsed text.
    pub fn of(parse: &Parse, offset: usize) -> Self {
        let root = parse.syntax();
        let mut around = Self::default();
        let Some(token) = token_before(&root, offset) else { return around };
        around.token = Some(token.kind());
        let mut bodies: Vec<SyntaxNode> = token
            .parent_ancestors()
            .filter(|node| node.kind() == SyntaxKind::Body && is_inside(node, offset))
            .filter_map(|body| body.parent())
            .collect();
        bodies.reverse();
        for node in bodies {
            around.enter(node);
        }
        around
    }

    fn enter(&mut self, node: SyntaxNode) {
        match node.kind() {
            SyntaxKind::Profile => {
                self.region = Region::Profile;
                self.profile = Profile::cast(node).and_then(|it| Some(it.name()?.text()));
            }
            SyntaxKind::Workload => self.region = Region::Workload,
            SyntaxKind::Policy => self.region = Region::Policy,
            SyntaxKind::Guard => self.region = Region::Guard,
            SyntaxKind::Group => {
                let path = Group::cast(node).and_then(|group| group.path());
                let names = path.map(|path| path.names()).unwrap_or_default();
                let kind = match names.as_slice() {
                    [word] if self.devices.is_none() && self.names.is_empty() => {
                        DeviceKind::of_block(word)
                    }
                    _ => None,
                };
                match kind {
                    Some(kind) => self.devices = Some(kind),
                    None => self.names.extend(names),
                }
            }
            _ => {}
        }
    }
}

/// The token that a place is in, or else the one that ends there.
fn token_before(root: &SyntaxNode, offset: usize) -> Option<SyntaxToken> {
    let offset = TextSize::new(u32::try_from(offset).ok()?);
    // Of a script that is too large the tree is empty.
    if offset > root.text_range().end() {
        return None;
    }
    match root.token_at_offset(offset) {
        TokenAtOffset::None => None,
        TokenAtOffset::Single(token) | TokenAtOffset::Between(token, _) => Some(token),
    }
}

/// Whether a place is between the braces of a body. One that is never closed goes on.
fn is_inside(body: &SyntaxNode, offset: usize) -> bool {
    let brace = |kind| {
        let mut tokens = body.children_with_tokens().filter(|part| part.kind() == kind);
        tokens.next()
    };
    let behind_first = brace(SyntaxKind::OpenBrace)
        .is_some_and(|open| usize::from(open.text_range().end()) <= offset);
    let before_last = brace(SyntaxKind::CloseBrace)
        .is_none_or(|close| offset <= usize::from(close.text_range().start()));
    behind_first && before_last
}
