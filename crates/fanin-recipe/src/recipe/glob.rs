//! Glob patterns: texts with wildcards, which match names.

/// A glob pattern. A pattern must match a whole name, not a part of the name.
#[derive(Debug, Clone)]
pub(in crate::recipe) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone)]
enum Token {
    /// Matches the text itself.
    Text(String),
    /// Matches one character.
    AnyCharacter,
    /// Matches any text, including an empty text, dots and slashes.
    AnyText,
    /// Matches one character that is in one of the ranges. If `is_negated` is true, matches one character that is in
    /// none of the ranges. Both ends of a range are inclusive.
    Class { is_negated: bool, ranges: Vec<(char, char)> },
    /// Matches one of several patterns.
    Alternatives(Vec<Vec<Token>>),
    /// Matches a decimal number without leading zeros, from the minimum to the maximum. Both are inclusive.
    Number(u64, u64),
}

/// The maximum depth of nested groups. The depth is limited because matching is recursive and must not overflow the
/// stack.
const MAX_DEPTH: usize = 50;

impl Glob {
    /// Returns true if the text contains a character that has a special meaning in a pattern.
    pub(in crate::recipe) fn has_wildcards(text: &str) -> bool {
        text.contains(['*', '?', '[', ']', '{', '}', '\\'])
    }

    /// Parses a pattern. The error is a message.
    pub(in crate::recipe) fn parse(pattern: &str) -> Result<Self, String> {
        let mut tokens = Vec::new();
        // For each open group: the tokens before the group, and the complete alternatives of the group.
        let mut open: Vec<(Vec<Token>, Vec<Vec<Token>>)> = Vec::new();
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            match character {
                '*' => tokens.push(Token::AnyText),
                '?' => tokens.push(Token::AnyCharacter),
                '[' => tokens.push(class(&mut characters)?),
                '{' if open.len() == MAX_DEPTH => {
                    return Err(format!("groups are nested more than {MAX_DEPTH} levels deep"));
                }
                '{' => open.push((std::mem::take(&mut tokens), Vec::new())),
                '}' => {
                    let (before, mut alternatives) = open.pop().ok_or("'}' without '{'")?;
                    alternatives.push(std::mem::replace(&mut tokens, before));
                    let alternatives =
                        alternatives.into_iter().map(number_range).collect::<Result<_, _>>()?;
                    tokens.push(Token::Alternatives(alternatives));
                }
                '\\' => push_text(&mut tokens, characters.next().ok_or("'\\' at the end")?),
                ',' => match open.last_mut() {
                    Some((_, alternatives)) => alternatives.push(std::mem::take(&mut tokens)),
                    None => push_text(&mut tokens, ','),
                },
                other => push_text(&mut tokens, other),
            }
        }
        if !open.is_empty() {
            return Err("'{' without '}'".to_owned());
        }
        Ok(Self { tokens })
    }

    /// Returns the text that each wildcard or group matches in `name`, or `None` if the pattern does not match. Earlier
    /// wildcards match as little as possible: in `a.b.c.w`, the wildcards of `*.*.w` match `a` and `b.c`.
    pub(in crate::recipe) fn captures<'a>(&self, name: &'a str) -> Option<Vec<&'a str>> {
        let mut captures = Vec::new();
        let mut start = 0;
        for (index, token) in self.tokens.iter().enumerate() {
            let rest = &self.tokens[index + 1..];
            let fits = |end: &usize| ends_of_all(rest, name, vec![*end]).last() == Some(&name.len());
            let end = ends(token, name, &[start]).into_iter().find(fits)?;
            if !matches!(token, Token::Text(_)) {
                captures.push(&name[start..end]);
            }
            start = end;
        }
        (start == name.len()).then_some(captures)
    }

    /// Returns true if the pattern matches `name`.
    pub(in crate::recipe) fn matches(&self, name: &str) -> bool {
        // Most names fail this fast check. For a model with very many tensors, the check makes drafting a recipe
        // several times faster.
        if let Some(Token::Text(text)) = self.tokens.last()
            && !name.ends_with(text.as_str())
        {
            return false;
        }
        ends_of_all(&self.tokens, name, vec![0]).last() == Some(&name.len())
    }
}

/// Replaces an alternative of a group by one [`Token::Number`] if it is a range such as `0..11`. Returns any other
/// alternative unchanged. An empty range such as `7..3` is an error.
fn number_range(tokens: Vec<Token>) -> Result<Vec<Token>, String> {
    let [Token::Text(text)] = tokens.as_slice() else { return Ok(tokens) };
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    let ends = text.split_once("..").and_then(|(first, last)| Some((number(first)?, number(last)?)));
    match ends {
        Some((first, last)) if first > last => Err(format!("the range {first}..{last} is empty")),
        Some((first, last)) => Ok(vec![Token::Number(first, last)]),
        None => Ok(tokens),
    }
}

/// Appends a character to the last token if this token is a text. Otherwise appends a new text token.
fn push_text(tokens: &mut Vec<Token>, character: char) {
    match tokens.last_mut() {
        Some(Token::Text(text)) => text.push(character),
        _ => tokens.push(Token::Text(character.into())),
    }
}

/// Parses a character class after its opening bracket. As in a shell, `[]a]` contains `]`, and both `[-a]` and `[a-]`
/// contain `-`.
fn class(characters: &mut std::str::Chars<'_>) -> Result<Token, String> {
    let unclosed = "'[' without ']'";
    let is_negated = characters.as_str().starts_with(['!', '^']);
    if is_negated {
        characters.next();
    }
    let mut ranges = Vec::new();
    let mut first = characters.next().ok_or(unclosed)?;
    loop {
        let mut last = first;
        let mut rest = characters.clone();
        if let (Some('-'), Some(end)) = (rest.next(), rest.next())
            && end != ']'
        {
            *characters = rest;
            last = end;
        }
        if last < first {
            return Err(format!("the range {first}-{last} is empty"));
        }
        ranges.push((first, last));
        first = characters.next().ok_or(unclosed)?;
        if first == ']' {
            return Ok(Token::Class { is_negated, ranges });
        }
    }
}

/// Returns the offsets at which a match of all `tokens` can end. The match can start at any offset in `starts`. All
/// offsets are in bytes, in ascending order.
///
/// Keeping all possible offsets takes polynomial time. Backtracking could take exponential time.
fn ends_of_all(tokens: &[Token], name: &str, starts: Vec<usize>) -> Vec<usize> {
    tokens.iter().fold(starts, |starts, token| ends(token, name, &starts))
}

/// Returns the offsets at which a match of `token` can end. The match can start at any offset in `starts`.
fn ends(token: &Token, name: &str, starts: &[usize]) -> Vec<usize> {
    let after_character = |accepts: &dyn Fn(char) -> bool| {
        let end = |&start: &usize| {
            name[start..].chars().next().filter(|&c| accepts(c)).map(|c| start + c.len_utf8())
        };
        starts.iter().filter_map(end).collect()
    };
    match token {
        Token::Text(text) => {
            let matching = starts.iter().filter(|&&start| name[start..].starts_with(text.as_str()));
            matching.map(|start| start + text.len()).collect()
        }
        Token::AnyCharacter => after_character(&|_| true),
        Token::AnyText => {
            let first = starts.first().copied().unwrap_or(usize::MAX);
            (first..=name.len()).filter(|&end| name.is_char_boundary(end)).collect()
        }
        Token::Class { is_negated, ranges } => after_character(&|character| {
            ranges.iter().any(|&(first, last)| (first..=last).contains(&character)) != *is_negated
        }),
        Token::Number(first, last) => {
            let end = |&start: &usize| {
                let digits = name[start..].bytes().take_while(u8::is_ascii_digit).count();
                let text = &name[start..start + digits];
                let number = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
                // A number matches a whole sequence of digits. For example, the number 1 does not match the beginning
                // of 12.
                number.filter(|number| (first..=last).contains(&number)).map(|_| start + digits)
            };
            let mut all: Vec<usize> = starts.iter().filter_map(end).collect();
            all.dedup();
            all
        }
        Token::Alternatives(alternatives) => {
            let mut all: Vec<usize> =
                alternatives.iter().flat_map(|tokens| ends_of_all(tokens, name, starts.to_vec())).collect();
            all.sort_unstable();
            all.dedup();
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Glob;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let glob = Glob::parse(pattern).unwrap();
        for name in matching {
            assert!(glob.matches(name), "{pattern} {name}");
        }
        for name in others {
            assert!(!glob.matches(name), "{pattern} {name}");
        }
    }

    #[test]
    fn wildcards_match_as_documented() {
        check("*", &["", "a", "a.b/c"], &[]);
        check("*.weight", &["a.weight", "a.b/c.weight", ".weight"], &["weight", "a.weight.b", "a.bias"]);
        check("h.*.ln_?.bias", &["h.0.ln_1.bias", "h..ln_é.bias"], &["h.0.ln_.bias", "h.0.ln_12.bias"]);
        check("{attn,mlp}.w", &["attn.w", "mlp.w"], &["at.w", "attnmlp.w", ".w"]);
        check("a{,.b{1,2*}}", &["a", "a.b1", "a.b2", "a.b2.c"], &["a.b", "a.b12"]);
        check("a,b", &["a,b"], &["a", "b"]);
        check(r"\*\é", &["*é"], &["aé"]);
        check("**a**", &["a", "bab"], &["b", ""]);
    }

    #[test]
    fn a_class_in_brackets_matches_one_character() {
        check("[a-c9]", &["a", "b", "c", "9"], &["d", "-", "", "ab"]);
        check("[!a-c]", &["d", "é"], &["a", "c", ""]);
        check("[^a]", &["^", "b"], &["a"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[-a]", &["-", "a"], &["b"]);
        check("[a-]", &["-", "a"], &["b"]);
        check("t[[]3[]]", &["t[3]"], &["t3"]);
    }

    #[test]
    fn a_range_in_braces_matches_numbers_without_leading_zeros() {
        check(
            "h.{0..11}.w",
            &["h.0.w", "h.9.w", "h.11.w"],
            &["h.12.w", "h.1.1.w", "h.01.w", "h..w", "h.x.w"],
        );
        check("h.{0..3,7,x}.w", &["h.2.w", "h.7.w", "h.x.w"], &["h.4.w", "h.70.w"]);
        check("{2..2}*", &["2", "2.w"], &["23", "1"]);
        check("{a..b}", &["a..b"], &["a", "b"]);
        check("{0,18446744073709551615}.w", &["18446744073709551615.w"], &["1.w"]);
    }

    #[test]
    fn captures_are_the_texts_that_the_wildcards_match() {
        let captures =
            |pattern: &str, name| Glob::parse(pattern).unwrap().captures(name).map(|all| all.join("|"));
        assert_eq!(captures("layers.{0..9}.*.weight", "layers.3.mlp.up.weight").unwrap(), "3|mlp.up");
        assert_eq!(captures("*.*.w", "a.b.c.w").unwrap(), "a|b.c");
        assert_eq!(captures("a?[bc]{d,e*}", "axbef").unwrap(), "x|b|ef");
        assert_eq!(captures("a.*", "b.c"), None);
        assert_eq!(captures("ab", "ab").unwrap(), "");
    }

    #[test]
    fn an_invalid_pattern_is_an_error_with_a_reason() {
        let deep = "{".repeat(100_000);
        let cases = [
            ("a[", "'[' without ']'"),
            ("a[]", "'[' without ']'"),
            ("a[b-", "'[' without ']'"),
            ("[z-a]", "the range z-a is empty"),
            ("h.{7..3}", "the range 7..3 is empty"),
            ("{a", "'{' without '}'"),
            ("a}", "'}' without '{'"),
            ("a\\", "'\\' at the end"),
            (deep.as_str(), "groups are nested more than 50 levels deep"),
        ];
        for (pattern, error) in cases {
            assert_eq!(Glob::parse(pattern).unwrap_err(), error, "{pattern}");
        }
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let glob = Glob::parse(&format!("{}b", "{a*,*a}".repeat(100))).unwrap();
        assert!(!glob.matches(&format!("{}c", "a".repeat(1000))));
        assert!(glob.matches(&format!("{}b", "a".repeat(1000))));
    }

    /// A slow implementation of `matches` for comparison. Groups are expanded to patterns without groups. These
    /// patterns are matched by backtracking.
    fn reference(pattern: &str, name: &str) -> bool {
        let Some(open) = pattern.find('{') else { return backtrack(pattern.as_bytes(), name.as_bytes()) };
        let close = open + pattern[open..].find('}').unwrap();
        pattern[open + 1..close]
            .split(',')
            .any(|text| reference(&format!("{}{text}{}", &pattern[..open], &pattern[close + 1..]), name))
    }

    fn backtrack(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern, name) {
            ([], _) => name.is_empty(),
            ([b'*', rest @ ..], _) => (0..=name.len()).any(|skipped| backtrack(rest, &name[skipped..])),
            ([b'[', a, b, b']', rest @ ..], [c, others @ ..]) => {
                (a == c || b == c) && backtrack(rest, others)
            }
            ([b'?', rest @ ..], [_, others @ ..]) => backtrack(rest, others),
            ([a, rest @ ..], [c, others @ ..]) => a == c && backtrack(rest, others),
            (_, []) => false,
        }
    }

    /// Returns a strategy for texts that consist of at most `length` elements of `parts`.
    fn texts(parts: &'static [&'static str], length: usize) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(parts), 0..=length).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn matches_agree_with_a_second_implementation(
            pattern in texts(&["a", "b", ".", "*", "?", "[ab]", "[.a]", "{a,b*}", "{,?}", "{*b,a.}"], 6),
            name in texts(&["a", "b", "."], 8),
        ) {
            prop_assert_eq!(Glob::parse(&pattern).unwrap().matches(&name), reference(&pattern, &name));
        }
    }
}
