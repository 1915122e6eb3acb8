//! The dtypes of the safetensors format.

use std::fmt;

use fanin::DType;
use serde::{Deserialize, Serialize};

/// A dtype of the safetensors format. Each variant has the same name as in the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, non_camel_case_types, reason = "the variants have the names of the format")]
pub enum StoredType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    BOOL,
    C64,
    F8_E4M3,
    F8_E5M2,
    F8_E8M0,
    F8_E4M3FNUZ,
    F8_E5M2FNUZ,
    F6_E2M3,
    F6_E3M2,
    F4,
}

impl StoredType {
    /// All dtypes of the format.
    pub const ALL: [StoredType; 22] = [
        StoredType::F64,
        StoredType::F32,
        StoredType::F16,
        StoredType::BF16,
        StoredType::I64,
        StoredType::I32,
        StoredType::I16,
        StoredType::I8,
        StoredType::U64,
        StoredType::U32,
        StoredType::U16,
        StoredType::U8,
        StoredType::BOOL,
        StoredType::C64,
        StoredType::F8_E4M3,
        StoredType::F8_E5M2,
        StoredType::F8_E8M0,
        StoredType::F8_E4M3FNUZ,
        StoredType::F8_E5M2FNUZ,
        StoredType::F6_E2M3,
        StoredType::F6_E3M2,
        StoredType::F4,
    ];

    /// Returns the [`DType`] that corresponds to this dtype, or `None` if fanin cannot draw values of this dtype. For
    /// example, returns `None` for integer dtypes.
    pub const fn float(self) -> Option<DType> {
        match self {
            StoredType::F64 => Some(DType::F64),
            StoredType::F32 => Some(DType::F32),
            StoredType::F16 => Some(DType::F16),
            StoredType::BF16 => Some(DType::BF16),
            StoredType::F8_E4M3 => Some(DType::F8E4M3),
            StoredType::F8_E5M2 => Some(DType::F8E5M2),
            _ => None,
        }
    }

    /// Returns the dtype of the safetensors format that corresponds to `dtype`.
    pub fn from_float(dtype: DType) -> Self {
        let stored = Self::ALL.into_iter().find(|stored| stored.float() == Some(dtype));
        stored.expect("every DType is a dtype of the format")
    }

    /// Returns the dtype `name`, for example `BF16`, or `None` if there is no such dtype.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stored| stored.to_string() == name)
    }

    /// Returns true if fanin can decode values of this dtype to numbers. For these dtypes, [`StoredType::float`]
    /// or [`StoredType::integers`] returns `Some`. Values of other dtypes can only be copied, and compared byte by
    /// byte.
    pub fn is_read(self) -> bool {
        self.float().is_some() || self.integers().is_some()
    }

    /// Returns the size of one value in bits.
    pub const fn bits(self) -> usize {
        match self {
            StoredType::F64 | StoredType::I64 | StoredType::U64 | StoredType::C64 => 64,
            StoredType::F32 | StoredType::I32 | StoredType::U32 => 32,
            StoredType::F16 | StoredType::BF16 | StoredType::I16 | StoredType::U16 => 16,
            StoredType::F6_E2M3 | StoredType::F6_E3M2 => 6,
            StoredType::F4 => 4,
            _ => 8,
        }
    }

    /// Returns the size of one value in bytes. Returns 1 for a dtype with fewer than eight bits.
    pub const fn size(self) -> usize {
        self.bits().div_ceil(8)
    }

    /// Returns the minimum and the maximum of an integer dtype, or `None` for any other dtype. `BOOL` counts as an
    /// integer dtype with minimum 0 and maximum 1.
    pub fn integers(self) -> Option<(i128, i128)> {
        Some(match self {
            StoredType::I64 => (i64::MIN.into(), i64::MAX.into()),
            StoredType::I32 => (i32::MIN.into(), i32::MAX.into()),
            StoredType::I16 => (i16::MIN.into(), i16::MAX.into()),
            StoredType::I8 => (i8::MIN.into(), i8::MAX.into()),
            StoredType::U64 => (0, u64::MAX.into()),
            StoredType::U32 => (0, u32::MAX.into()),
            StoredType::U16 => (0, u16::MAX.into()),
            StoredType::U8 => (0, u8::MAX.into()),
            StoredType::BOOL => (0, 1),
            _ => return None,
        })
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
