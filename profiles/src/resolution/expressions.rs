//! The expressions of the catalogue, read once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::diagnostic::FileId;
use crate::expression::Expression;
use crate::syntax::parse_expression;

/// The expression of a text of the catalogue; none where it is malformed, which the tests rule out.
pub fn expression(text: &str) -> Option<Arc<Expression>> {
    static READ: OnceLock<Mutex<HashMap<String, Option<Arc<Expression>>>>> = OnceLock::new();
    let read = READ.get_or_init(Mutex::default);
    let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = read.get(text) {
        return known.clone();
    }
    let expression = parsed(text).map(Arc::new);
    read.insert(text.to_owned(), expression.clone());
    expression
}

fn parsed(text: &str) -> Option<Expression> {
    let parse = parse_expression(FileId::default(), text);
    let tree = parse.tree().expression().filter(|_| parse.is_ok())?;
    Expression::of(FileId::default(), &tree, &mut Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    #[test]
    fn every_expression_of_the_catalogue_is_one() {
        let mut wrong = Vec::new();
        for setting in Catalogue::built_in().unwrap().settings() {
            let fields = [&setting.accepts, &setting.safe, &setting.condition];
            let mut texts: Vec<&str> =
                fields.into_iter().flatten().flat_map(|field| field.texts()).collect();
            texts.extend(setting.guarded.iter().map(|guarded| guarded.when.as_str()));
            for text in texts.into_iter().filter(|text| expression(text).is_none()) {
                wrong.push(format!("{}: {text}", setting.name));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
