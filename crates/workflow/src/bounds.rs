//! How large an expression may be.
//!
//! The template engine bounds brackets within brackets, but not chains such as `a|f|f|f…` or `not not not …`:
//! it compiles them by recursion, and a chain that is long enough overflows the stack, which ends the process.
//! So the parts of which chains are made are counted before the engine sees a text. The count follows the
//! engine's own lexer: where an expression ends, what is a string, what a comment and what is raw.

/// How many operators, dots, brackets and words such as `not` one `{{ … }}` or `{% … %}` may have.
pub(crate) const MAX_PARTS: usize = 150;

/// How many `{% … %}` one text may have.
pub(crate) const MAX_STATEMENTS: usize = 100;

/// The words that build an expression around another one.
const WORDS: [&str; 8] = ["not", "and", "or", "in", "is", "if", "else", "recursive"];

/// Checks a text with expressions in it.
///
/// # Errors
/// What there is too much of.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    let mut rest = text;
    let mut statements = 0;
    while let Some((opening, after)) = next_opening(rest) {
        rest = match opening {
            Opening::Comment => after_mark(after, "#}"),
            Opening::Statement if is_tag(after, "raw") => after_raw(after),
            Opening::Statement => {
                statements += 1;
                after_code(after, "%}")?
            }
            Opening::Expression => after_code(after, "}}")?,
        };
        if statements > MAX_STATEMENTS {
            return Err(format!("it has more than {MAX_STATEMENTS} statements {{% … %}}"));
        }
    }
    Ok(())
}

/// Checks the code of one expression, without `{{` and `}}`.
///
/// # Errors
/// As [`check_text`].
pub(crate) fn check_code(code: &str) -> Result<(), String> {
    after_code(code, "").map(drop)
}

enum Opening {
    Expression,
    Statement,
    Comment,
}

fn next_opening(text: &str) -> Option<(Opening, &str)> {
    let mut rest = text;
    loop {
        let after = rest.get(rest.find('{')? + 1..)?;
        rest = after;
        let opening = match after.as_bytes().first() {
            Some(b'{') => Opening::Expression,
            Some(b'%') => Opening::Statement,
            Some(b'#') => Opening::Comment,
            _ => continue,
        };
        return Some((opening, after.get(1..)?));
    }
}

/// What follows the mark; nothing where the mark does not come, which the engine refuses.
fn after_mark<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or("", |(_, after)| after)
}

/// Whether a statement that opens here is nothing but that word.
fn is_tag(after_opening: &str, word: &str) -> bool {
    let code = after_opening.strip_prefix(['-', '+']).unwrap_or(after_opening).trim_ascii_start();
    code.strip_prefix(word).is_some_and(|end| {
        let end = end.trim_ascii_start();
        end.strip_prefix(['-', '+']).unwrap_or(end).starts_with("%}")
    })
}

fn after_raw(text: &str) -> &str {
    let mut rest = after_mark(text, "%}");
    while let Some((_, after)) = rest.split_once("{%") {
        if is_tag(after, "endraw") {
            return after_mark(after, "%}");
        }
        rest = after;
    }
    ""
}

/// Counts the parts of the code that begins here, and gives what follows its end.
fn after_code<'a>(text: &'a str, end: &str) -> Result<&'a str, String> {
    let mut rest = text;
    let mut parts = 0_usize;
    let mut open = 0_isize;
    while let Some(first) = rest.chars().next() {
        if open == 0
            && !end.is_empty()
            && let Some(after) = rest.strip_prefix(end)
        {
            return Ok(after);
        }
        let length = match first {
            '\'' | '"' => string_length(rest, first),
            'a'..='z' | 'A'..='Z' | '_' => word_length(rest),
            _ => first.len_utf8(),
        };
        let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match first {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open -= 1,
            _ => {}
        }
        parts += usize::from(is_part(token, first));
        if parts > MAX_PARTS {
            return Err(format!("an expression in it has more than {MAX_PARTS} operators"));
        }
        rest = after;
    }
    Ok("")
}

fn is_part(token: &str, first: char) -> bool {
    match first {
        '(' | '[' | '{' | '|' | '.' | '+' | '-' | '*' | '/' | '%' | '~' | '<' | '>' | '=' | '!' | ':' => true,
        _ => WORDS.contains(&token),
    }
}

fn word_length(text: &str) -> usize {
    text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count()
}

/// The length of the string that begins here, with both quotes.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return index + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_expressions_are_small() {
        let text =
            "{{ payload.a }} is {% if steps.x.output.n > 3 %}much{% endif %}, {# a comment #} and so on. ";
        check_text(&text.repeat(MAX_STATEMENTS / 2)).unwrap();
        check_text(&"plain. text | with - punctuation! ".repeat(1000)).unwrap();
        check_code(&format!("[{}]", "'a', ".repeat(1000))).unwrap();
    }

    #[test]
    fn chains_are_counted() {
        for chain in ["|f", ".a", "+1", "~1", " and 1", "['a']", "()", " is x", " if a else b", "[:1]"] {
            let code = format!("a{}", chain.repeat(MAX_PARTS + 1));
            assert!(check_code(&code).is_err(), "{chain}");
            assert!(check_text(&format!("text {{{{ {code} }}}}")).is_err(), "{chain}");
            assert!(check_text(&format!("{{% if {code} %}}")).is_err(), "{chain}");
        }
        assert!(check_code(&format!("{}a", "not ".repeat(MAX_PARTS + 1))).is_err());
        assert!(check_text(&"{% elif a %}".repeat(MAX_STATEMENTS + 1)).is_err());
    }

    #[test]
    fn nothing_hides_a_chain_from_the_count() {
        let chain = ".a".repeat(MAX_PARTS + 1);
        for hidden in [
            format!("{{{{ '}}}}' ~ a{chain} }}}}"),
            format!("{{{{ \"\\\"}}}}\" ~ a{chain} }}}}"),
            format!("{{{{ {{'a': {{'b': 1}}}}{chain} }}}}"),
            format!("{{# {{{{ ' #}}{{{{ a{chain} }}}}"),
            format!("{{% raw %}}{{{{ ' {{% endraw %}}{{{{ a{chain} }}}}"),
            format!("{{%- raw -%}} ' {{%- endraw -%}}{{{{ a{chain} }}}}"),
            format!("{{{{ a }}}}{{{{- a{chain} -}}}}"),
        ] {
            assert!(check_text(&hidden).is_err(), "{hidden}");
        }
    }

    #[test]
    fn what_the_engine_never_reads_as_code_is_not_counted() {
        let chain = ".a".repeat(MAX_PARTS + 1);
        for text in [
            format!("{{# a{chain} #}}"),
            format!("{{% raw %}}{{{{ a{chain} }}}}{{% endraw %}}"),
            format!("{{{{ 'a{chain}' }}}}"),
            format!("{{{{ a }}}} a{chain}"),
        ] {
            check_text(&text).unwrap();
        }
    }
}
