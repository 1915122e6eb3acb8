//! How errors name options.

/// How errors name the options that they speak of. Whoever asks says which, since it is them who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Spelling {
    /// As they are typed: --part 1/4.
    #[default]
    Typed,
    /// As keywords of Python's: part="1/4".
    Keywords,
}

impl Spelling {
    /// A switch, put on.
    pub fn switch(self, name: &str) -> String {
        match self {
            Spelling::Typed => format!("--{name}"),
            Spelling::Keywords => format!("{name}=True"),
        }
    }

    /// An option with a value.
    pub fn option(self, name: &str, value: &str) -> String {
        match self {
            Spelling::Typed => format!("--{name} {value}"),
            Spelling::Keywords => format!("{name}={value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_written_for_who_reads_them() {
        let both = [Spelling::Typed, Spelling::Keywords];
        assert_eq!(both.map(|spelling| spelling.switch("force")), ["--force", "force=True"]);
        assert_eq!(both.map(|spelling| spelling.option("part", "k/n")), ["--part k/n", "part=\"k/n\""]);
    }
}
