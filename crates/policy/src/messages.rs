//! Policies on messages. All of them are for connectors of the kind `slack`.

use enact_core::action::Facts;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::builtin::{Builtin, Judged, Judging, Made, Params, Refusal, Rule, policies};
use crate::name::channel::Place;
use crate::name::fold;
use crate::read::{fact, no_text};
use crate::scope::Scope;

const KINDS: &[&str] = &["slack"];
const ACTIONS: &[&str] = &["post_message", "delete_message"];

/// Messages are posted and deleted only in these channels. A name is as good as an id where a message goes to a name;
/// where it goes to an id, only the id is, since names of channels can be given away.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequireChannelAllowlist {
    /// Channels: `#general`, `general` or `C0123456789`.
    pub channels: Vec<String>,
}

/// No direct messages, neither to one person nor to several. An id that begins with `G` may be that of a group of
/// people or of an old private channel, which cannot be told: it is a no, unless it is named here.
#[derive(Clone, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlockDms {
    /// Ids of conversations that are permitted all the same.
    pub except: Vec<String>,
}

policies!(RequireChannelAllowlist, BlockDms);

/// [`RequireChannelAllowlist`].
#[must_use]
pub fn require_channel_allowlist<S: Into<String>>(channels: impl IntoIterator<Item = S>) -> Builtin {
    RequireChannelAllowlist { channels: channels.into_iter().map(Into::into).collect() }.into()
}

/// [`BlockDms`], without exception.
#[must_use]
pub fn block_dms() -> Builtin {
    BlockDms::default().into()
}

/// The conversation that a message will go to, where it is known.
fn resolved<'a>(judging: &Judging<'_>, facts: &'a Facts) -> Result<Option<&'a str>, Refusal> {
    // A message is deleted by the id of its conversation; there is nothing to find out.
    if !judging.is(&["post_message"]) {
        return Ok(None);
    }
    match fact(facts, "channel_id")? {
        Value::Null => Ok(None),
        id => id.as_str().map(Some).ok_or_else(|| no_text("fact", "channel_id")),
    }
}

#[derive(Debug)]
struct Channels {
    ids: Vec<String>,
    names: Vec<String>,
}

impl Rule for Channels {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        if !judging.is(ACTIONS) {
            return Ok(());
        }
        let asked = judging.text("channel")?;
        let is_listed = |id: &str| self.ids.iter().any(|own| own == id);
        let permitted = match (Place::read(asked), judging.facts) {
            (Place::Id(id), _) => is_listed(id),
            (Place::Name(name), _) if self.names.iter().any(|own| own == name) => true,
            // Which conversation it is will be known at the next gate.
            (Place::Name(_) | Place::Person, None) => !self.ids.is_empty(),
            (Place::Name(_) | Place::Person, Some(facts)) => resolved(judging, facts)?.is_some_and(is_listed),
        };
        if permitted {
            Ok(())
        } else {
            Err(format!("channel '{asked}' is not among those that are allowed").into())
        }
    }
}

impl Params for RequireChannelAllowlist {
    const NAME: &'static str = "require_channel_allowlist";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        if self.channels.is_empty() {
            return Err(
                "'channels' is empty; to forbid messages, leave post_message out of allowed_actions".into()
            );
        }
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        for channel in &self.channels {
            let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '#' | '@' | '*');
            match Place::read(channel) {
                Place::Id(id) => ids.push(id.to_owned()),
                Place::Name(name) if !name.is_empty() && !name.contains(odd) => names.push(name.to_owned()),
                _ => {
                    return Err(format!(
                        "'channels': '{channel}' is no channel: write #general or C0123456789"
                    ));
                }
            }
        }
        Ok(Box::new(Channels { ids, names }))
    }
}

#[derive(Debug)]
struct NoDms {
    except: Vec<String>,
    /// How names of conversations of several people begin.
    group: String,
}

impl NoDms {
    fn check_id(&self, asked: &str, id: &str) -> Judged {
        if id.starts_with('C') || self.except.iter().any(|own| own == id) {
            return Ok(());
        }
        if id.starts_with('G') {
            return Err(format!(
                "'{asked}' may be a conversation of several people: an id with G does not tell"
            )
            .into());
        }
        Err(format!("'{asked}' is a direct message").into())
    }
}

impl Rule for NoDms {
    fn judge(&self, _: &Scope, judging: &Judging<'_>) -> Judged {
        if !judging.is(ACTIONS) {
            return Ok(());
        }
        let asked = judging.text("channel")?;
        match Place::read(asked) {
            Place::Id(id) => self.check_id(asked, id)?,
            Place::Person => return Err(format!("'{asked}' is a person: a direct message").into()),
            Place::Name(name) if fold(name).starts_with(&self.group) => {
                return Err(format!("'{asked}' is a conversation of several people").into());
            }
            Place::Name(_) => {}
        }
        match judging.facts.map_or(Ok(None), |facts| resolved(judging, facts))? {
            Some(id) => self.check_id(asked, id),
            None => Ok(()),
        }
    }
}

impl Params for BlockDms {
    const NAME: &'static str = "block_dms";
    const KINDS: &'static [&'static str] = KINDS;

    fn rule(&self, _: &Scope) -> Made {
        match self.except.iter().find(|text| !matches!(Place::read(text), Place::Id(_))) {
            Some(wrong) => {
                Err(format!("'except': '{wrong}' is no id of a conversation, such as G0123456789"))
            }
            None => Ok(Box::new(NoDms { except: self.except.clone(), group: fold("mpdm-") })),
        }
    }
}
