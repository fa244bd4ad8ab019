//! Rows of Parquet files as JSON objects, nested columns included.

use std::path::Path;

use polars::prelude::{AnyValue, DataType, Series};
use serde_json::{Map, Value};

use super::guard::guarded;
use super::table::{Table, TableError};

/// All rows of a file.
pub fn rows(path: &Path) -> Result<Vec<Map<String, Value>>, TableError> {
    let table = Table::read(path, None, None)?;
    let columns = table.series();
    let names = table.columns();
    let bad = |reason: String| TableError::Column { column: "*".to_owned(), reason };
    let row = |i: usize| -> Result<Map<String, Value>, String> {
        let value = |s: &Series| s.get(i).map_err(|e| e.to_string()).and_then(|v| plain(&v));
        names.iter().zip(&columns).map(|(n, s)| Ok((n.clone(), value(s)?))).collect()
    };
    // Damaged nested columns make polars panic here and there.
    guarded(|| (0..table.rows()).map(row).collect::<Result<Vec<_>, _>>()).map_err(bad)?.map_err(bad)
}

fn plain(value: &AnyValue<'_>) -> Result<Value, String> {
    Ok(match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(v) => (*v).into(),
        AnyValue::String(v) => (*v).into(),
        AnyValue::StringOwned(v) => v.as_str().into(),
        AnyValue::Int8(v) => (*v).into(),
        AnyValue::Int16(v) => (*v).into(),
        AnyValue::Int32(v) => (*v).into(),
        AnyValue::Int64(v) => (*v).into(),
        AnyValue::UInt8(v) => (*v).into(),
        AnyValue::UInt16(v) => (*v).into(),
        AnyValue::UInt32(v) => (*v).into(),
        AnyValue::UInt64(v) => (*v).into(),
        AnyValue::Float32(v) => f64::from(*v).into(),
        AnyValue::Float64(v) => (*v).into(),
        AnyValue::List(series) => {
            let each = series.iter().map(|v| plain(&v)).collect::<Result<Vec<_>, _>>()?;
            Value::Array(each)
        }
        AnyValue::Struct(..) | AnyValue::StructOwned(_) => {
            let DataType::Struct(fields) = value.dtype() else {
                return Err("a structure without fields".to_owned());
            };
            let names = fields.iter().map(|f| f.name().to_string());
            let values = value._iter_struct_av();
            names.zip(values).map(|(n, v)| Ok((n, plain(&v)?))).collect::<Result<Map<_, _>, String>>()?.into()
        }
        AnyValue::Categorical(..)
        | AnyValue::CategoricalOwned(..)
        | AnyValue::Enum(..)
        | AnyValue::EnumOwned(..) => value.get_str().map(Value::from).ok_or("a category without a name")?,
        other => return Err(format!("values of type {} are not understood", other.dtype())),
    })
}
