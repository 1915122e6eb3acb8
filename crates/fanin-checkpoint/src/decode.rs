//! Conversion of stored values to f64.

use fanin_recipe::StoredType;

/// Converts little-endian values of the type `dtype` to f64. Integers with a magnitude above 2^53 are rounded.
///
/// Returns an empty vector if fanin cannot convert values of this type to f64 ([`StoredType::is_read`] is false).
pub fn decode(dtype: StoredType, bytes: &[u8]) -> Vec<f64> {
    let mut values = Vec::new();
    decode_into(dtype, bytes, &mut values);
    values
}

/// Like [`decode`], but replaces the contents of `values` with the converted values.
pub(crate) fn decode_into(dtype: StoredType, bytes: &[u8], values: &mut Vec<f64>) {
    values.clear();
    macro_rules! each {
        ($type:ty, $size:literal, |$value:ident| $wide:expr) => {{
            let wide = |bytes: &[u8; $size]| -> f64 {
                let $value = <$type>::from_le_bytes(*bytes);
                $wide
            };
            values.extend(bytes.as_chunks::<$size>().0.iter().map(wide));
        }};
    }
    match dtype {
        StoredType::F64 => each!(f64, 8, |x| x),
        StoredType::F32 => each!(f32, 4, |x| x.into()),
        StoredType::F16 => each!(fanin::half::f16, 2, |x| x.to_f64()),
        StoredType::BF16 => each!(fanin::half::bf16, 2, |x| x.to_f64()),
        StoredType::F8_E4M3 => {
            values.extend(bytes.iter().map(|&bits| f64::from(fanin::F8E4M3::from_bits(bits).to_f32())));
        }
        StoredType::F8_E5M2 => {
            values.extend(bytes.iter().map(|&bits| f64::from(fanin::F8E5M2::from_bits(bits).to_f32())));
        }
        StoredType::I64 => each!(i64, 8, |x| x as f64),
        StoredType::I32 => each!(i32, 4, |x| x.into()),
        StoredType::I16 => each!(i16, 2, |x| x.into()),
        StoredType::I8 => each!(i8, 1, |x| x.into()),
        StoredType::U64 => each!(u64, 8, |x| x as f64),
        StoredType::U32 => each!(u32, 4, |x| x.into()),
        StoredType::U16 => each!(u16, 2, |x| x.into()),
        StoredType::U8 | StoredType::BOOL => each!(u8, 1, |x| x.into()),
        _ => {}
    }
}
