//! Whose name the connector acts in, and what its token lacks.

use enact_core::connector::{Cx, Identity};
use enact_core::time::Timestamp;
use enact_core::{Error, ErrorCode};
use serde::Deserialize;

use crate::Slack;
use crate::client::{Call, Client};
use crate::name::{ChannelId, Place};

/// A bot, or whoever the token is of, in a workspace.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Account {
    #[serde(rename = "team_id")]
    team: String,
    #[serde(rename = "user_id")]
    pub(crate) user: String,
    #[serde(rename = "bot_id")]
    pub(crate) bot: Option<String>,
}

/// What Slack says now of the token.
#[derive(Debug)]
pub(crate) struct Checked {
    /// What it may do, where Slack says it.
    pub(crate) scopes: Option<Vec<String>>,
    /// Slack's own time, where it says it.
    pub(crate) date: Option<Timestamp>,
}

impl Checked {
    /// Whether the token may read a conversation, or a thread in it, as far as its scopes tell; nothing where they do not.
    /// The bot has to be in it too.
    pub(crate) fn reads(&self, place: &Place, channel: Option<&ChannelId>, in_thread: bool) -> Option<bool> {
        let scopes = self.scopes.as_ref()?;
        let has = |wanted: &str| scopes.iter().any(|scope| scope == wanted);
        // Its id does not tell which of two kinds a conversation is.
        let either = |one: &str, other: &str| (has(one) == has(other)).then(|| has(one));
        let reads = match channel.and_then(|id| id.as_str().chars().next()) {
            // A direct conversation may be made by its first message; a channel that no list shows stays unknown.
            None => return Some(place.person().is_some() && has("im:history") && has("im:read")),
            Some('D') => return Some(has("im:history")),
            Some('G') => either("groups:history", "mpim:history"),
            // Private channels have such ids too.
            _ => either("channels:history", "groups:history"),
        };
        // Slack's pages disagree on whether a bot may read threads of channels.
        reads.filter(|reads| !(*reads && in_thread))
    }
}

impl Client {
    /// The account, asked for once: a token stays of the same bot.
    pub(crate) async fn account(&self, cx: Option<&Cx>) -> Result<&Account, Error> {
        self.account
            .get_or_try_init(|| async {
                let call = Call::look("auth.test", "see whose token it is");
                self.ask(cx, &call).await?.read(&call.doing)
            })
            .await
    }

    /// What Slack says of the token at this moment.
    pub(crate) async fn check(&self, cx: Option<&Cx>) -> Result<Checked, Error> {
        let call = Call::look("auth.test", "see what the token may do");
        let answer = self.ask(cx, &call).await?;
        Ok(Checked { scopes: answer.scopes(), date: answer.date() })
    }

    pub(crate) async fn identity(&self) -> Result<Identity, Error> {
        let Account { team, user, .. } = self.account(None).await?;
        Ok(Identity(format!("{} as user {user} of team {team}", self.place())))
    }
}

/// A scope, the conversations that it is for, and whether it is for looking up messages.
const HISTORY: [(&str, &str); 4] = [
    ("channels:history", "public channels"),
    ("groups:history", "private channels"),
    ("im:history", "direct messages"),
    ("mpim:history", "direct messages of several people"),
];

impl Slack {
    /// What the token lacks for the allowed actions and their undos, as far as Slack tells.
    pub(crate) async fn lacking(&self, allowed: &[&str]) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        match self.client.check(None).await {
            Err(error) if error.code() == ErrorCode::Unauthenticated => {
                return Ok(vec![error.message().to_owned()]);
            }
            Err(error) => return Err(error),
            Ok(Checked { scopes: Some(scopes), .. }) => warnings.extend(lacks(&scopes, allowed)),
            Ok(_) => {}
        }
        warnings.extend(self.settle().warning());
        Ok(warnings)
    }
}

fn lacks(scopes: &[String], allowed: &[&str]) -> Vec<String> {
    let has = |wanted: &str| scopes.iter().any(|scope| scope == wanted);
    let mut warnings = Vec::new();
    if !allowed.is_empty() && !has("chat:write") {
        let actions = allowed.join(", ");
        warnings.push(format!("the token lacks the scope chat:write, which {actions} and their undos need"));
    }
    let blind: Vec<(&str, &str)> = HISTORY.into_iter().filter(|(scope, _)| !has(scope)).collect();
    let scopes = blind.iter().map(|(scope, _)| *scope).collect::<Vec<_>>().join(", ");
    let places = blind.iter().map(|(_, place)| *place).collect::<Vec<_>>().join(", ");
    let can = |action: &str| allowed.contains(&action);
    if can("post_message") && !blind.is_empty() {
        warnings.push(format!(
            "the token lacks {scopes}: in {places} a post_message whose reply is lost stays in doubt until a person \
             looks, and it is undone only with --force, because nobody can see whether it was edited"
        ));
    }
    if can("delete_message") && !blind.is_empty() {
        warnings.push(format!(
            "the token lacks {scopes}: in {places} what delete_message deletes is not kept in the record, and when its \
             reply is lost it stays in doubt until a person looks"
        ));
    }
    if can("post_message") && !has("channels:read") {
        warnings.push(
            "the token lacks channels:read: give post_message ids of channels, because a lost reply to a message for \
             a name stays in doubt"
                .into(),
        );
    }
    warnings
}
