//! MT19937: Matsumoto and Nishimura 1998, "Mersenne Twister: a 623-dimensionally equidistributed uniform pseudo-random
//! number generator".

mod engine;
mod jump;
mod polynomial;
mod state;

pub use engine::Mt19937;
pub(super) use state::{SIZE, temper_all};
