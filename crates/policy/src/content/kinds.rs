//! The kinds of secrets that are known by how they look.
//!
//! Formats are those that the services document, or that their own scanners of secrets go by. The engine needs time in
//! proportion to the text, whatever the text.

use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// What a secret is, in words, and how it looks. Each begins with letters of its own, so that text without them is passed
/// over quickly. `^` stands where a word begins.
const TOKENS: &[(&str, &str)] = &[
    (
        "a GitHub token",
        r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{30,}|ghs_[0-9]+_eyJ[A-Za-z0-9_.-]{20,}",
    ),
    (
        "a GitLab token",
        r"gl(?:pat|dt|rt|ptt|cbt|agent|oas|soat|ft|imt|ffct)-[A-Za-z0-9_-]{20,}|^GR1348941[A-Za-z0-9_-]{20,}",
    ),
    ("a Slack token", r"xox[abcdeoprs]-[A-Za-z0-9%-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}"),
    ("an address of a Slack webhook", r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9/]{20,}"),
    ("an AWS access key", r"^(?:AKIA|ASIA)[A-Z2-7]{16}\b|^ABSK[A-Za-z0-9+/]{100,}"),
    ("a Google API key", r"AIza[A-Za-z0-9_-]{35}|^AQ\.Ab[A-Za-z0-9_-]{30,}"),
    ("a Google OAuth token", r"^ya29\.[A-Za-z0-9_-]{20,}|^1//0[A-Za-z0-9_-]{30,}|GOCSPX-[A-Za-z0-9_-]{20,}"),
    (
        "a Stripe key",
        r"^(?:sk|rk)_(?:live|test|org_live|org_test)_[A-Za-z0-9]{16,}|whsec_[A-Za-z0-9+/=]{24,}",
    ),
    (
        "a private key",
        r"-{4,5} ?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)? ?-{4,5}|PuTTY-User-Key-File-[23]:|AGE-SECRET-KEY-1[A-Z0-9]{50,}",
    ),
    (
        "a JSON web token",
        r"^(?:eyJ|eyA|ewo|ew0)[A-Za-z0-9_-]{10,}\.(?:eyJ|eyA|ewo|ew0)[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*|^eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){2}(?:\.[A-Za-z0-9_-]{10,}){2}",
    ),
    ("an npm token", r"^npm_[A-Za-z0-9]{36}"),
    ("a PyPI token", r"^pypi-[A-Za-z0-9_-]{50,}"),
    ("a crates.io token", r"^cio[A-Za-z0-9]{32}\b"),
    ("an Anthropic key", r"^sk-ant-[A-Za-z0-9_-]{20,}"),
    ("an OpenAI key", r"^sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}|^sk-[A-Za-z0-9]{32,}"),
    ("a Hugging Face token", r"^hf_[A-Za-z0-9]{30,}|^api_org_[A-Za-z0-9]{30,}"),
    ("a SendGrid key", r"^SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    ("a DigitalOcean token", r"^do[por]_v1_[a-f0-9]{64}|^DO00[A-Z0-9]{16}\b"),
    ("a Shopify token", r"^shp(?:at|ca|pa|ss|tka|ua)_[a-fA-F0-9]{32}"),
];

/// How a word begins; in text of another language's, such as JSON, also behind the letter of an escape.
const WORD: &str = r"(?:\b|\\[nrt])";

/// An address with a password in it, in JSON too. What stands for a value that is filled in later (`$VAR`, `{{ … }}`,
/// `<password>`, `***`) is none.
const ADDRESS: &str =
    r#"(?i)\b[a-z][a-z0-9+.-]{1,30}:(?:\\?/){2}[^\s:/"'<>?#]*:([^\s:/@$<{*%"'?#][^\s/@"'<>?#]*)@"#;

/// What every address has, which is found faster than one.
const ANY_ADDRESS: &str = r":\\?/\\?/";

/// A secret that only the name before it tells.
const AWS_SECRET: &str = r#"(?i)(?:aws_?secret_?(?:access_?)?key|secret_?access_?key)\\?["']?\s{0,8}[:=]\s{0,8}\\?["']?([A-Za-z0-9/+=]{40})|aws_?session_?token\\?["']?\s{0,8}[:=]\s{0,8}\\?["']?[A-Za-z0-9/+=]{100,}"#;

/// A private key as a whole, where only its beginning tells what it is; to the end of the text where it has none.
const KEY_BODY: &str = r"-{4,5} ?BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)? ?-{4,5}(?s:.*?)(?:-{4,5} ?END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)? ?-{4,5}|\z)|PuTTY-User-Key-File-[23]:(?s:.*)";

/// The fewest bytes in which any of them has place.
const MIN_BYTES: usize = 10;

/// What a secret is called. A bare "key" is too many other things.
const CALLED: &str =
    r"(?:password|passwd|passphrase|secret|token|(?:api|access|secret|private|signing|encryption)[_ -]?key)";

/// What every name of a secret has, which is found faster than one.
const ANY_NAME: &str = "(?i)pass|secret|token|key";

/// What stands between a name and a value: the end of the name, a type, and a sign.
const SET: &str =
    r#"\\?["']?\]?(?:\s{0,8}:\s{0,8}&?[A-Za-z]{1,20})?\s{0,8}(?::=|=>|[+?]=|\|\|=|<-|[:=])\s{0,8}"#;

/// A value in quotes. What begins with `$`, `<`, `{` or `*` is filled in later.
const QUOTED: &str = r#"[(\[]?[bBrRfFuU]{0,2}\\?(?:"{1,3}[^"\s$<{*\\][^"\r\n]{6,}"|'{1,3}[^'\s$<{*\\][^'\r\n]{6,}'|`[^`\s$<{*\\][^`\r\n]{6,}`)"#;

/// A value without quotes. A call is code.
const BARE: &str = r#"(?P<bare>[^\s"'`$<{*;,)(]{16,})(?:[\s"';,)]|\z)"#;

/// A shorter value, as it stands in a file of an environment.
const ENVIRONMENT: &str = r#"(?m:^)[ \t]{0,8}(?:(?:export|ENV|ARG|set|-)[ \t]{1,8})?[A-Z0-9_]{0,64}(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE|SIGNING|ENCRYPTION)_?KEY)=[^\s"'$<{*;,)(]{8,}"#;

/// Anything that is called a secret and set to a value.
fn generic() -> String {
    format!("(?:(?i){CALLED}{SET}{QUOTED})|(?:(?i){CALLED}{SET}{BARE})|(?:{ENVIRONMENT})")
}

/// How names of columns and keys end that hold a secret.
fn names() -> String {
    format!("(?i){CALLED}$")
}

/// The shortest value of such a column that counts.
const MIN_NAMED: usize = 8;

/// What looks like a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    known: &'static Known,
    generic: Option<&'static Generic>,
}

/// A secret in a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret {
    /// What it is, in words.
    pub(super) kind: &'static str,
    /// The byte with which it begins.
    pub(super) at: usize,
}

#[derive(Debug)]
struct Known {
    /// Whether there may be any of [`TOKENS`].
    any_token: Regex,
    each_token: Vec<(&'static str, Regex)>,
    any_address: Regex,
    address: Regex,
    any_name: Regex,
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
    let looks = TOKENS.iter().map(|(kind, look)| (*kind, look.replace('^', WORD)));
    // Without the beginnings of words: it is to be fast.
    let any: Vec<String> = TOKENS.iter().map(|(_, look)| format!("(?:{})", look.replace('^', ""))).collect();
    Ok(Known {
        any_token: compiled(&any.join("|"))?,
        each_token: looks.map(|(kind, look)| Ok((kind, compiled(&look)?))).collect::<Result<_, String>>()?,
        any_address: compiled(ANY_ADDRESS)?,
        address: compiled(ADDRESS)?,
        any_name: compiled(ANY_NAME)?,
        aws_secret: compiled(AWS_SECRET)?,
        key_body: compiled(KEY_BODY)?,
    })
});

static GENERIC: LazyLock<Result<Generic, String>> =
    LazyLock::new(|| Ok(Generic { in_text: compiled(&generic())?, key: compiled(&names())? }));

impl Generic {
    /// Where the first value begins that is called a secret. Names of what code has without quotes (`AccessTokenResponse`,
    /// `process.env.TOKEN`) have no digit.
    fn find(&self, text: &[u8]) -> Option<usize> {
        let has_digit = |bare: regex::bytes::Match<'_>| bare.as_bytes().iter().any(u8::is_ascii_digit);
        let mut found = self.in_text.captures_iter(text);
        let found = found.find(|found| found.name("bare").is_none_or(has_digit))?;
        found.get(0).map(|found| found.start())
    }
}

impl Kinds {
    pub(super) fn new(generic: bool) -> Result<Self, String> {
        let generic = generic.then(|| GENERIC.as_ref()).transpose().map_err(Clone::clone)?;
        Ok(Self { known: KNOWN.as_ref().map_err(Clone::clone)?, generic })
    }

    /// A secret that is there, of the first kind of which there is any.
    pub(super) fn find(&self, text: &[u8]) -> Option<Secret> {
        let Known { any_token, each_token, any_address, address, any_name, aws_secret, .. } = self.known;
        let by = |kind, look: &Regex| look.find(text).map(|found| Secret { kind, at: found.start() });
        if text.len() < MIN_BYTES {
            return None;
        }
        if any_token.is_match(text)
            && let Some(token) = each_token.iter().find_map(|(kind, look)| by(kind, look))
        {
            return Some(token);
        }
        if any_address.is_match(text)
            && let Some(address) = by("an address with a password", address)
        {
            return Some(address);
        }
        if !any_name.is_match(text) {
            return None;
        }
        by("an AWS secret key", aws_secret).or_else(|| {
            let at = self.generic?.find(text)?;
            Some(Secret { kind: "something that is called a secret", at })
        })
    }

    /// Where secrets stand that are known by how they look, in no order, each with its kind. Of an address it is the
    /// password alone.
    pub(super) fn places(&self, text: &[u8]) -> Vec<(Range<usize>, &'static str)> {
        let Known { any_token, each_token, any_address, address, aws_secret, key_body, .. } = self.known;
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
            places.extend(found.filter_map(|found| Some((found.get(1).or(found.get(0))?.range(), kind))));
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
