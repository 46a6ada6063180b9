//! Names that callers give, as they are kept and shown: on one line, and of a bounded length.
//!
//! Names come from far away, from the text of a query perhaps, and go to logs, errors and the
//! labels of metrics. So what could end a line, a quotation or the name in a path is escaped, and
//! so is what turns the direction of the text around it. The backslash is, too, so that nothing
//! else looks like an escape.

use std::fmt::Write;
use std::sync::Arc;

/// The longest name in bytes, with its escapes and the mark of what was cut off.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// At the end of a name that was too long.
const CUT: char = '…';

/// The name as it is shown, to be kept: itself, if it may be shown as it is.
pub(crate) fn kept(name: Arc<str>) -> Arc<str> {
    if is_harmless(&name) { name } else { shown(&name) }
}

/// The name as it is shown.
pub(crate) fn shown(name: &str) -> Arc<str> {
    if is_harmless(name) {
        return name.into();
    }
    let mut shown = String::with_capacity(name.len().min(NAME_BYTES_MAX));
    let room = NAME_BYTES_MAX - CUT.len_utf8();
    // Where it ends if it has to be cut: no escape is cut apart.
    let mut end = 0;
    for c in name.chars() {
        if shown.len() <= room {
            end = shown.len();
        }
        push(&mut shown, c);
        if shown.len() > NAME_BYTES_MAX {
            shown.truncate(end);
            shown.push(CUT);
            break;
        }
    }
    shown.into()
}

fn is_harmless(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX && !name.chars().any(is_escaped)
}

fn push(shown: &mut String, c: char) {
    // Writing to a string does not fail.
    let _ = match c {
        c if !is_escaped(c) => shown.write_char(c),
        '/' | '`' => write!(shown, "{}", c.escape_unicode()),
        c => write!(shown, "{}", c.escape_default()),
    };
}

fn is_escaped(c: char) -> bool {
    matches!(c, '/' | '`' | '\\') || c.is_control() || ends_a_line(c) || is_bidi_control(c)
}

/// Beside the control characters.
fn ends_a_line(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Marks, embeddings, overrides and isolates.
fn is_bidi_control(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_harmless_is_left_as_it_is() {
        for name in ["", "sort", "query 17", "Straße «x» 日本 👩‍👩‍👧", "a'b\"c{d}", &"x".repeat(255)]
        {
            assert_eq!(&*shown(name), name);
        }
    }

    #[test]
    fn what_ends_a_line_a_quotation_or_a_name_or_turns_text_around_is_escaped() {
        for (name, text) in [
            ("a\nb", r"a\nb"),
            ("\r\t\0", r"\r\t\u{0}"),
            ("\x1b[31mred\x7f", r"\u{1b}[31mred\u{7f}"),
            ("\u{85}\u{9b}", r"\u{85}\u{9b}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("a/b", r"a\u{2f}b"),
            ("a`b", r"a\u{60}b"),
            (r"a\nb", r"a\\nb"),
            ("\u{61c}\u{200e}\u{200f}", r"\u{61c}\u{200e}\u{200f}"),
            ("\u{202a}\u{202e}\u{2066}\u{2069}", r"\u{202a}\u{202e}\u{2066}\u{2069}"),
        ] {
            assert_eq!(&*shown(name), text);
        }
    }

    /// Of every length around the bound, and wherever a long character or escape is.
    #[test]
    fn a_name_is_cut_between_its_characters_and_escapes() {
        for piece in ["x", "ß", "日", "👩", "\n", "\u{202e}"] {
            let whole = shown(piece);
            for before in 0..=NAME_BYTES_MAX {
                let name = "y".repeat(before) + &piece.repeat(300);
                let cut = shown(&name);
                let (text, mark) = cut.split_at(cut.len() - CUT.len_utf8());
                assert_eq!(mark, "…");
                let pieces = text.strip_prefix(&*"y".repeat(before.min(252))).unwrap();
                let count = pieces.len() / whole.len();
                assert_eq!(pieces, whole.repeat(count), "no piece is cut apart");
                let rest = NAME_BYTES_MAX - cut.len();
                assert!(rest < whole.len() || before > 252, "{rest} bytes would hold another one");
            }
        }
        let exactly = "x".repeat(253) + "\n";
        assert_eq!(&*shown(&exactly), "x".repeat(253) + r"\n", "it fits");
        assert_eq!(&*shown(&(exactly + "x")), "x".repeat(252) + "…");
    }
}
