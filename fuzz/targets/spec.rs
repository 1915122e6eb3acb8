//! Parsing arbitrary text as a spec returns an initializer or an error. An initializer prints a spec that parses to the
//! same initializer. A fill writes every value, or it returns an error and writes nothing.

#![no_main]

use fanin::init::Init;
use fanin::{DType, Initializer, Native, TensorMut};
use libfuzzer_sys::fuzz_target;

/// A NaN with an unusual payload, which marks values that no fill has written.
const UNWRITTEN: f32 = f32::from_bits(0x7fc0_dead);

fuzz_target!(|text: &str| {
    let Ok(init) = text.parse::<Init>() else { return };
    let printed = init.to_string();
    assert_eq!(printed.parse::<Init>().expect("a printed spec is a spec").to_string(), printed);
    for shape in [&[][..], &[0], &[4, 0], &[5], &[4, 6], &[3, 2, 2, 2]] {
        let Ok(plan) = init.resolve(shape, DType::F32) else { continue };
        assert!(!plan.std().is_nan(), "{printed} {shape:?}");
        let mut values = vec![UNWRITTEN; shape.iter().product()];
        let tensor = TensorMut::contiguous(&mut values, shape).expect("the length is that of the shape");
        let written = |value: &f32| value.to_bits() != UNWRITTEN.to_bits();
        match init.fill_tensor(tensor, &mut Native::new(0).tensor("w")) {
            Ok(_) => assert!(values.iter().all(written), "{printed} {shape:?}"),
            Err(_) => assert!(!values.iter().any(written), "{printed} {shape:?}"),
        }
    }
});
