//! stub
pub(crate) fn moments(_a: f64, _b: f64) -> (f64, f64) { (0.0, 1.0) }
