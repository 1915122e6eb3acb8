//! Parses nonlinearities for explanations, and lists the nonlinearities that an explanation compares.

use fanin::Nonlinearity;

use crate::error::{Error, Result};

/// The nonlinearities that the comparison at the end of an explanation shows.
pub const COMMON: [Nonlinearity; 9] = [
    Nonlinearity::Linear,
    Nonlinearity::Relu,
    Nonlinearity::LeakyRelu { slope: Nonlinearity::DEFAULT_SLOPE },
    Nonlinearity::Tanh,
    Nonlinearity::Sigmoid,
    Nonlinearity::Selu,
    Nonlinearity::Elu,
    Nonlinearity::Gelu,
    Nonlinearity::Silu,
];

/// Parses a nonlinearity, such as `gelu`, `leaky_relu(0.2)` or `sine(30)`. The convolutions that torch's
/// `calculate_gain` accepts, such as `conv2d`, are parsed as `linear`. `forward(tanh)` is parsed as `tanh`.
///
/// # Errors
/// Returns an error if the name is unknown, or if the number in parentheses is not valid.
pub fn read(text: &str) -> Result<Nonlinearity> {
    text.parse::<Nonlinearity>().map(Nonlinearity::function).map_err(|_| {
        let name = text.split('(').next().unwrap_or_default();
        let hint = fanin_recipe::error::did_you_mean(name, Nonlinearity::names());
        let functions = Nonlinearity::names().filter(|name| !name.starts_with("conv"));
        let functions: Vec<&str> = functions.collect();
        Error::Request(format!("unknown nonlinearity {text:?}{hint}: use one of {}", functions.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synonyms_and_names_of_layers_are_parsed_as_their_function() {
        assert_eq!(read("forward(tanh)").unwrap(), Nonlinearity::Tanh);
        assert_eq!(read("swish").unwrap(), Nonlinearity::Silu);
        assert_eq!(read("conv2d").unwrap(), Nonlinearity::Linear);
        for nonlinearity in COMMON.into_iter().chain([Nonlinearity::Sine { omega: 30.0 }]) {
            assert_eq!(read(&nonlinearity.to_string()).unwrap(), nonlinearity);
        }
        for wrong in ["rleu", "relu(1)", "leaky_relu(x)", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("rleu").unwrap_err().to_string().contains("did you mean relu?"));
    }
}
