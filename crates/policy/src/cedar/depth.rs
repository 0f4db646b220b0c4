//! How deep rules go, found out before anybody follows them down, and the stack that this takes.
//!
//! Cedar reads, checks and evaluates an expression by calling itself for each part of it. What is too deep for the stack ends
//! the process where it is read, and denies everything where it is judged. So depth is bounded here, by the text alone, and
//! whoever follows a rule down has a stack for all of it, on whatever thread: what was checked is judged.

/// The deepest that an expression may be: operators that hang together, and what they stand in.
pub(super) const MAX_DEPTH: usize = 200;

/// What Cedar takes where a rule has no depth, with what it wants to have left.
const BASE: usize = 512 * 1024;
/// What a level takes where Cedar judges, at most: what it is in builds that are not optimised, twice.
const JUDGING: usize = 128 * 1024;
/// What a level takes where Cedar reads and checks.
const READING: usize = 256 * 1024;

/// Does something that follows rules of some depth down, on a stack for it.
pub(super) fn reading<T>(depth: usize, read: impl FnOnce() -> T) -> T {
    on_a_stack(BASE + depth * READING, read)
}

/// Evaluates rules of some depth, on a stack for it.
pub(super) fn judging<T>(depth: usize, judge: impl FnOnce() -> T) -> T {
    on_a_stack(BASE + depth * JUDGING, judge)
}

/// On this one, where so much of it is left.
fn on_a_stack<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(bytes, bytes, work)
}

/// The depth of the deepest rule, at least: no expression is deeper than what this says.
///
/// # Errors
/// The byte at which a rule gets deeper than [`MAX_DEPTH`].
pub(super) fn depth(text: &str) -> Result<usize, usize> {
    let (mut rule, mut deepest) = (Open::default(), 0);
    for (at, token) in (Tokens { text, at: 0 }) {
        rule.take(token);
        let depth = rule.depth();
        if depth > MAX_DEPTH {
            return Err(at);
        }
        deepest = deepest.max(depth);
    }
    Ok(deepest)
}

/// What matters of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token {
    Open,
    Close,
    Comma,
    /// The end of a rule.
    End,
    Or,
    And,
    If,
    /// Any other operator, a dot too.
    Operator,
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl Iterator for Tokens<'_> {
    type Item = (usize, Token);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (at, rest) = (self.at, self.text.get(self.at..)?);
            let first = rest.chars().next()?;
            let (length, token) = match first {
                '"' => (string(rest), None),
                '/' if rest.starts_with("//") => (rest.find(['\n', '\r']).unwrap_or(rest.len()), None),
                _ if rest.starts_with("||") => (2, Some(Token::Or)),
                _ if rest.starts_with("&&") => (2, Some(Token::And)),
                _ if rest.starts_with("==") => (2, Some(Token::Operator)),
                '(' | '[' | '{' => (1, Some(Token::Open)),
                ')' | ']' | '}' => (1, Some(Token::Close)),
                ',' => (1, Some(Token::Comma)),
                ';' => (1, Some(Token::End)),
                '.' | '<' | '>' | '!' | '+' | '-' | '*' | '/' | '%' => (1, Some(Token::Operator)),
                '_' | 'a'..='z' | 'A'..='Z' => {
                    let is_in = |c: char| c == '_' || c.is_ascii_alphanumeric();
                    let length = rest.find(|c| !is_in(c)).unwrap_or(rest.len());
                    (length, rest.get(..length).and_then(word))
                }
                other => (other.len_utf8(), None),
            };
            self.at += length;
            if let Some(token) = token {
                return Some((at, token));
            }
        }
    }
}

/// How long a text in quotes is. Where it does not end, Cedar reads no further either.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn word(word: &str) -> Option<Token> {
    match word {
        "if" => Some(Token::If),
        "in" | "has" | "like" | "is" => Some(Token::Operator),
        _ => None,
    }
}

/// A rule that is being read: what is open, the outermost first.
#[derive(Default)]
struct Open {
    outer: Vec<Level>,
    inner: Level,
}

/// What stands between two brackets, as far as it was read. Alternatives hang together, and so do the conditions of each:
/// the deepest of them counts, and each one that is joined is a level.
#[derive(Clone, Copy, Default)]
struct Level {
    /// The deepest of those before the last comma.
    before: usize,
    ors: usize,
    deepest_or: usize,
    ands: usize,
    deepest_and: usize,
    operators: usize,
    deepest_bracket: usize,
}

impl Level {
    fn condition(&self) -> usize {
        self.operators + self.deepest_bracket
    }

    fn alternative(&self) -> usize {
        self.ands + self.deepest_and.max(self.condition())
    }

    fn depth(&self) -> usize {
        self.before.max(self.ors + self.deepest_or.max(self.alternative()))
    }
}

impl Open {
    fn take(&mut self, token: Token) {
        let inner = &mut self.inner;
        match token {
            Token::Open => self.outer.push(std::mem::take(inner)),
            Token::Close => {
                let depth = inner.depth() + 1;
                *inner = self.outer.pop().unwrap_or_default();
                inner.deepest_bracket = inner.deepest_bracket.max(depth);
            }
            Token::Comma => *inner = Level { before: inner.depth(), ..Level::default() },
            Token::End => *self = Self::default(),
            Token::Or => {
                *inner = Level {
                    before: inner.before,
                    ors: inner.ors + 1,
                    deepest_or: inner.deepest_or.max(inner.alternative()),
                    ..Level::default()
                }
            }
            Token::And => {
                inner.deepest_and = inner.deepest_and.max(inner.condition());
                (inner.ands, inner.operators, inner.deepest_bracket) = (inner.ands + 1, 0, 0);
            }
            // What follows it, up to its end, is of any depth.
            Token::If => inner.ors += 1,
            Token::Operator => inner.operators += 1,
        }
    }

    /// How deep the deepest part of it is, as far as it was read.
    fn depth(&self) -> usize {
        self.outer.iter().rev().fold(self.inner.depth(), |depth, outer| {
            Level { deepest_bracket: outer.deepest_bracket.max(depth + 1), ..*outer }.depth()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_together_is_deep_and_what_stands_side_by_side_is_not() {
        for (text, is) in [
            ("permit (principal, action, resource);", 1),
            ("permit (principal, action, resource) when { true };", 1),
            ("permit (principal, action, resource) when { a.b == 1 };", 3),
            ("permit (principal, action, resource) when { a.b == 1 || a.b == 2 || a.b == 3 };", 5),
            ("permit (principal, action, resource) when { a.b && c.d || e.f && g.h };", 4),
            ("permit (principal, action, resource) when { [1, 2, 3, 4].contains(a.b) };", 4),
            ("permit (principal, action, resource) when { ((((1)))) };", 5),
            ("permit (principal, action, resource) when { if a then b else if c then d else e };", 3),
            ("permit (principal, action, resource) when { \"(((\\\"(((\" == b };// ((((((\r permit;", 2),
            ("permit (principal, action, resource); permit (a, b == c, d);", 2),
            ("); (", 1),
        ] {
            assert_eq!(depth(text), Ok(is), "{text}");
        }
    }

    #[test]
    fn the_place_where_it_gets_too_deep_is_told() {
        let text = format!("a;\n{}", "(".repeat(MAX_DEPTH + 1));
        assert_eq!(depth(&text), Err(3 + MAX_DEPTH));
        assert_eq!(depth(&format!("a;\n{}", "(".repeat(MAX_DEPTH))), Ok(MAX_DEPTH));
    }
}
