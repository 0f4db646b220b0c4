//! What a policy is narrowed to: connectors and actions, by name.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

/// The connectors and actions that a policy is for; all of them, where none is named.
#[derive(Clone, Default, Debug, Serialize)]
pub(crate) struct Scope {
    connectors: Vec<String>,
    actions: Vec<Pattern>,
}

/// `connector.action`, where either may be any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Pattern {
    pub(crate) connector: Option<String>,
    pub(crate) action: Option<String>,
}

impl Scope {
    pub(crate) fn on(self, connectors: Vec<String>) -> Result<Self, String> {
        if connectors.is_empty() || connectors.iter().any(String::is_empty) {
            return Err("'connectors' is empty; leave it out for all of them".into());
        }
        Ok(Self { connectors, ..self })
    }

    pub(crate) fn actions<S: AsRef<str>>(self, actions: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let actions: Vec<_> =
            actions.into_iter().map(|text| Pattern::read(text.as_ref())).collect::<Result<_, _>>()?;
        if actions.is_empty() {
            return Err("'actions' is empty; leave it out for all of them".into());
        }
        Ok(Self { actions, ..self })
    }

    /// Whether it is for everything.
    pub(crate) fn is_all(&self) -> bool {
        self.connectors.is_empty() && self.actions.is_empty()
    }

    pub(crate) fn has(&self, connector: &str, action: &str) -> bool {
        (self.connectors.is_empty() || self.connectors.iter().any(|own| own == connector))
            && (self.actions.is_empty() || self.actions.iter().any(|pattern| pattern.is(connector, action)))
    }

    pub(crate) fn connectors(&self) -> &[String] {
        &self.connectors
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.actions
    }

    /// All that it is for, as patterns whose connector is one of its own.
    pub(crate) fn spelled_out(&self) -> Vec<Pattern> {
        let any = [Pattern { connector: None, action: None }];
        let actions = if self.actions.is_empty() { any.as_slice() } else { &self.actions };
        if self.connectors.is_empty() {
            return actions.to_vec();
        }
        let of = |connector: &String| {
            let fits = |pattern: &&Pattern| pattern.connector.as_ref().is_none_or(|named| named == connector);
            let connector = connector.clone();
            let named = |pattern: &Pattern| Pattern { connector: Some(connector.clone()), ..pattern.clone() };
            actions.iter().filter(fits).map(named).collect::<Vec<_>>()
        };
        self.connectors.iter().flat_map(of).collect()
    }
}

impl Pattern {
    /// Reads a pattern. Only a whole name may be left open, so that a limit can be counted.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'actions': '{text}' is no action: write connector.action, such as github.merge_pr, slack.* or \
                 *.delete_row"
            )
        };
        let (connector, action) = text.rsplit_once('.').ok_or_else(wrong)?;
        let part = |part: &str| match part {
            "*" => Ok(None),
            "" => Err(wrong()),
            name if name.contains('*') || name.contains(char::is_whitespace) => Err(wrong()),
            name => Ok(Some(name.to_owned())),
        };
        Ok(Self { connector: part(connector)?, action: part(action)? })
    }

    pub(crate) fn is(&self, connector: &str, action: &str) -> bool {
        self.connector.as_ref().is_none_or(|own| own == connector)
            && self.action.as_ref().is_none_or(|own| own == action)
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        write!(f, "{}.{}", part(&self.connector), part(&self.action))
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
