//! The kinds of secrets that are known by how they look.
//!
//! Formats are those that the services document, or that their own scanners of secrets go by. The engine needs time in
//! proportion to the text, whatever the text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// What a secret is, in words, and how it looks. Each begins with letters of its own, so that text without them is passed
/// over quickly.
const TOKENS: &[(&str, &str)] = &[
    ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{30,}"),
    ("a GitLab token", r"glpat-[A-Za-z0-9_-]{20,}"),
    ("a Slack token", r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    ("an address of a Slack webhook", r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/]{20,}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("a Google API key", r"AIza[A-Za-z0-9_-]{35}"),
    ("a Google OAuth token", r"\bya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}"),
    ("a Stripe key", r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}"),
    ("a private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[23]:"),
    ("a JSON web token", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("a crates.io token", r"\bcio[A-Za-z0-9]{32}\b"),
    ("an Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    ("an OpenAI key", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,}|\bsk-[A-Za-z0-9]{32,}"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}"),
    ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("a DigitalOcean token", r"\bdo[por]_v1_[a-f0-9]{64}"),
    ("a Shopify token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
];

/// An address with a password in it. What stands for a value that is filled in later (`$VAR`, `{{ … }}`, `<password>`, `***`)
/// is none.
const ADDRESS: &str = r#"(?i)\b(?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|sqlserver|https?)://[^\s:/@"'<>]*:([^\s:/@$<{*%"'][^\s/@"'<>]*)@"#;

/// A secret that only the name before it tells.
const AWS_SECRET: &str =
    r#"(?i)aws_?secret_?(?:access_?)?key["']?\s{0,8}[:=]\s{0,8}["']?([A-Za-z0-9/+=]{40})"#;

/// A private key as a whole, where only its beginning tells what it is; to the end of the text where it has none.
const KEY_BODY: &str = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\z)|PuTTY-User-Key-File-[23]:(?s:.*)";

/// The fewest bytes in which any of them has place.
const MIN_BYTES: usize = 10;

/// What a secret is called, but for a token. A bare "key" is too many other things.
const CALLED: &str =
    r"password|passwd|passphrase|secret|(?:api|access|secret|private|signing|encryption)[_ -]?key";

/// What stands between a name and a value.
const SET: &str = r#"["']?\s{0,8}(?::=|=>|[:=])\s{0,8}"#;

/// A value in quotes. What begins with `$`, `<`, `{` or `*` is filled in later.
const QUOTED: &str = r#"(?:"[^"\s$<{*][^"\r\n]{6,}"|'[^'\s$<{*][^'\r\n]{6,}')"#;

/// A value without quotes; a call is code.
const BARE: &str = r#"[^\s"'$<{*;,)(]{16,}"#;
const BARE_END: &str = r#"(?:[\s"';,)]|\z)"#;

/// A shorter value, as it stands in a file of an environment.
const ENVIRONMENT: &str = r#"(?m:^)[ \t]{0,8}(?:export[ \t]{1,8})?[A-Z0-9_]{0,64}(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION)_?KEY)=[^\s"'$<{*;,)(]{8,}"#;

/// Anything that is called a secret and set to a value. Whatever is like [`AWS_SECRET`] is like this. The value of a token without
/// quotes is a group of its own: much code has one there (`token: AccessTokenResponse`).
fn generic() -> String {
    let quoted = format!("(?i)(?:{CALLED}|token){SET}{QUOTED}");
    let bare = format!("(?i)(?:{CALLED}){SET}{BARE}{BARE_END}");
    let token = format!("(?i)token{SET}(?P<token>{BARE}){BARE_END}");
    format!("(?:{quoted})|(?:{bare})|(?:{token})|(?:{ENVIRONMENT})")
}

/// How names of columns and keys end that hold a secret.
fn names() -> String {
    format!("(?i)(?:{CALLED}|token)$")
}

/// The shortest value of such a column that counts.
const MIN_NAMED: usize = 8;

/// What looks like a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    known: &'static Known,
    generic: Option<&'static Generic>,
}

#[derive(Debug)]
struct Known {
    /// Whether there is any of [`TOKENS`].
    any_token: Regex,
    each_token: Vec<(&'static str, Regex)>,
    /// What every address has, which is found faster than one.
    any_address: Regex,
    address: Regex,
    aws_secret: Regex,
    key_body: Regex,
}

/// By the name under which a value stands, in text and in an object.
#[derive(Debug)]
struct Generic {
    in_text: Regex,
    key: Regex,
}

static KNOWN: LazyLock<Result<Known, String>> = LazyLock::new(|| {
    let any: Vec<String> = TOKENS.iter().map(|(_, look)| format!("(?:{look})")).collect();
    let each = TOKENS.iter().map(|(kind, look)| Ok((*kind, compiled(look)?)));
    Ok(Known {
        any_token: compiled(&any.join("|"))?,
        each_token: each.collect::<Result<_, String>>()?,
        any_address: compiled("://")?,
        address: compiled(ADDRESS)?,
        aws_secret: compiled(AWS_SECRET)?,
        key_body: compiled(KEY_BODY)?,
    })
});

static GENERIC: LazyLock<Result<Generic, String>> =
    LazyLock::new(|| Ok(Generic { in_text: compiled(&generic())?, key: compiled(&names())? }));

impl Generic {
    fn is_in(&self, text: &[u8]) -> bool {
        let is_value = |token: regex::bytes::Match<'_>| token.as_bytes().iter().any(u8::is_ascii_digit);
        self.in_text.captures_iter(text).any(|found| found.name("token").is_none_or(is_value))
    }
}

impl Kinds {
    pub(super) fn new(generic: bool) -> Result<Self, String> {
        let generic = generic.then(|| GENERIC.as_ref()).transpose().map_err(Clone::clone)?;
        Ok(Self { known: KNOWN.as_ref().map_err(Clone::clone)?, generic })
    }

    /// The first kind of secret that is there.
    pub(super) fn of(&self, text: &[u8]) -> Option<&'static str> {
        let Known { any_token, each_token, any_address, address, aws_secret, .. } = self.known;
        if text.len() < MIN_BYTES {
            None
        } else if any_token.is_match(text) {
            each_token.iter().find(|(_, look)| look.is_match(text)).map(|(kind, _)| *kind)
        } else if any_address.is_match(text) && address.is_match(text) {
            Some("an address with a password")
        } else {
            let other = match self.generic {
                Some(called) if called.is_in(text) => Some("something that is called a secret"),
                Some(_) => return None,
                None => None,
            };
            if aws_secret.is_match(text) { Some("an AWS secret key") } else { other }
        }
    }

    /// Where secrets stand that are known by how they look, in no order, each with its kind. Of an address it is the
    /// password alone.
    pub(super) fn places(&self, text: &[u8]) -> Vec<(Range<usize>, &'static str)> {
        let Known { any_token, each_token, any_address, address, aws_secret, key_body } = self.known;
        let mut places = Vec::new();
        if text.len() < MIN_BYTES {
            return places;
        }
        if any_token.is_match(text) {
            places.extend(key_body.find_iter(text).map(|found| (found.range(), "a private key")));
            for (kind, look) in each_token {
                places.extend(look.find_iter(text).map(|found| (found.range(), *kind)));
            }
        }
        let valued = [
            (any_address.is_match(text).then_some(address), "a password"),
            (Some(aws_secret), "an AWS secret key"),
        ];
        for (look, kind) in valued {
            let found = look.into_iter().flat_map(|look| look.captures_iter(text));
            places.extend(found.filter_map(|found| Some((found.get(1)?.range(), kind))));
        }
        places
    }

    /// Whether a value is a secret by the name under which it stands.
    pub(super) fn is_named_secret(&self, name: &str, value: &str) -> bool {
        let filled_in_later = value.starts_with(['$', '<', '{', '*']);
        self.generic.is_some_and(|called| called.key.is_match(name.as_bytes()))
            && value.len() >= MIN_NAMED
            && !filled_in_later
    }
}

/// Bytes, not characters: content may be anything.
fn compiled(look: &str) -> Result<Regex, String> {
    RegexBuilder::new(look)
        .unicode(false)
        .build()
        .map_err(|error| format!("a pattern of a secret does not compile: {error}"))
}
