//! Parquet and CSV tables with typed columns. Only this module and `rows` name polars.

use std::path::{Path, PathBuf};

use polars::io::parquet::read::FileMetadata;
use polars::prelude::{
    BooleanChunked, Column, DataFrame, DataType, Float32Chunked, Float32Type, Float64Chunked, Float64Type,
    IntoColumn as _, IntoSeries as _, ListBuilderTrait as _, ListPrimitiveChunkedBuilder, NamedFrom as _,
    ParquetReader, ParquetWriter, PolarsError, SerReader as _, Series, UInt32Chunked, UInt32Type,
};

use super::fs::{FileError, open, write_atomic_with};
use super::guard::guarded;
use super::parquet_pages::{self, Chunk};

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file is missing or cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not Parquet, or damaged.
    #[error("cannot {action} `{}` as Parquet: {reason}", path.display())]
    Parquet {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What polars said.
        reason: String,
    },
    /// A column is missing or of another type.
    #[error("column `{column}`: {reason}")]
    Column {
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// `bytes` and `path` of a stored file.
pub type StoredFile = (Option<Vec<u8>>, Option<String>);

/// A table of equally long columns.
#[derive(Clone)]
pub struct Table(DataFrame);

impl Table {
    /// An empty table that will have `rows` rows.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self(DataFrame::empty_with_height(rows))
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.height()
    }

    /// Names of the columns in order.
    pub fn columns(&self) -> Vec<String> {
        self.0.get_column_names().iter().map(std::string::ToString::to_string).collect()
    }

    /// Reads some columns (all if `None`) and some rows (`(offset, length)`, all if `None`).
    pub fn read(
        path: &Path,
        columns: Option<&[&str]>,
        rows: Option<(usize, usize)>,
    ) -> Result<Self, TableError> {
        let names = columns.map(|c| c.iter().map(|n| (*n).to_owned()).collect());
        let mut reader = ParquetReader::new(open(path)?).with_columns(names).with_slice(rows);
        read_guarded(path, || {
            let chunks = chunks(reader.get_metadata()?, columns, rows)?;
            parquet_pages::check(path, &chunks).map_err(|e| PolarsError::ComputeError(e.into()))?;
            reader.finish()
        })
        .map(Self)
    }

    /// Number of rows of a file, from its footer.
    pub fn count(path: &Path) -> Result<usize, TableError> {
        let mut reader = ParquetReader::new(open(path)?);
        read_guarded(path, || reader.num_rows())
    }

    /// Writes the table as zstd-compressed Parquet, atomically. Small row groups, so that a range
    /// of rows can be read without the rest.
    pub fn write(&mut self, path: &Path) -> Result<(), TableError> {
        let mut failure = None;
        let written = write_atomic_with(path, |file| {
            let result = ParquetWriter::new(std::io::BufWriter::new(file))
                .with_row_group_size(Some(4096))
                .set_parallel(false)
                .finish(&mut self.0);
            result.map(|_| ()).map_err(|e| match e {
                PolarsError::IO { error, .. } => std::io::Error::new(error.kind(), error.to_string()),
                other => {
                    failure = Some(parquet_error("write", path, &other));
                    std::io::Error::other("see above")
                }
            })
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(written?),
        }
    }

    /// Writes the table as CSV with a header line, atomically. Missing values are empty.
    pub fn write_csv(&self, path: &Path) -> Result<(), TableError> {
        let columns = self.0.columns().iter().map(csv_column).collect::<Result<Vec<_>, _>>()?;
        write_atomic_with(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            writer.write_record(self.columns())?;
            for row in 0..self.rows() {
                writer.write_record(columns.iter().map(|c| c[row].as_str()))?;
            }
            writer.flush()
        })?;
        Ok(())
    }

    /// Stacks tables of equal columns.
    pub fn concat(tables: Vec<Self>) -> Result<Self, TableError> {
        let mut tables = tables.into_iter();
        let Some(mut all) = tables.next() else { return Ok(Self::new(0)) };
        for table in tables {
            all.0.vstack_mut_owned(table.0).map_err(|e| column_error("*", &e))?;
        }
        all.0.rechunk_mut();
        Ok(all)
    }

    /// The columns in order.
    pub(super) fn series(&self) -> Vec<Series> {
        self.0.columns().iter().map(|c| c.as_materialized_series().clone()).collect()
    }

    fn push(&mut self, name: &str, series: Series) -> Result<(), TableError> {
        let column = series.with_name(name.into()).into_column();
        self.0.with_column(column).map(|_| ()).map_err(|e| column_error(name, &e))
    }

    /// Appends a text column.
    pub fn push_strings(&mut self, name: &str, values: Vec<String>) -> Result<(), TableError> {
        self.push(name, Series::new(name.into(), values))
    }

    /// Appends a column of byte strings.
    pub fn push_bytes(&mut self, name: &str, values: &[Vec<u8>]) -> Result<(), TableError> {
        let slices: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        self.push(name, Series::new(name.into(), slices))
    }

    /// Appends a column of unsigned integers.
    pub fn push_u32(&mut self, name: &str, values: Vec<u32>) -> Result<(), TableError> {
        self.push(name, UInt32Chunked::from_vec(name.into(), values).into_series())
    }

    /// Appends a column of single-precision numbers.
    pub fn push_f32(&mut self, name: &str, values: Vec<f32>) -> Result<(), TableError> {
        self.push(name, Float32Chunked::from_vec(name.into(), values).into_series())
    }

    /// Appends a column of double-precision numbers; `None` is a missing value.
    pub fn push_f64(&mut self, name: &str, values: Vec<Option<f64>>) -> Result<(), TableError> {
        self.push(name, values.into_iter().collect::<Float64Chunked>().into_series())
    }

    /// Appends a column of truth values.
    pub fn push_bools(&mut self, name: &str, values: Vec<bool>) -> Result<(), TableError> {
        self.push(name, values.into_iter().collect::<BooleanChunked>().into_series())
    }

    /// Appends a column of lists, `width` values a row.
    pub fn push_u32_lists(&mut self, name: &str, values: &[u32], width: usize) -> Result<(), TableError> {
        let rows = values.chunks(width.max(1));
        let mut builder = ListPrimitiveChunkedBuilder::<UInt32Type>::new(
            name.into(),
            rows.len(),
            values.len(),
            DataType::UInt32,
        );
        rows.for_each(|row| builder.append_slice(row));
        self.push(name, builder.finish().into_series())
    }

    /// Appends a column of lists of any length.
    pub fn push_f64_rows<'a>(
        &mut self,
        name: &str,
        rows: impl ExactSizeIterator<Item = &'a [f64]>,
    ) -> Result<(), TableError> {
        let n = rows.len();
        let mut builder =
            ListPrimitiveChunkedBuilder::<Float64Type>::new(name.into(), n, 4 * n, DataType::Float64);
        rows.for_each(|row| builder.append_slice(row));
        self.push(name, builder.finish().into_series())
    }

    /// Appends a column of lists, `width` values a row.
    pub fn push_f32_lists(&mut self, name: &str, values: &[f32], width: usize) -> Result<(), TableError> {
        let rows = values.chunks(width.max(1));
        let mut builder = ListPrimitiveChunkedBuilder::<Float32Type>::new(
            name.into(),
            rows.len(),
            values.len(),
            DataType::Float32,
        );
        rows.for_each(|row| builder.append_slice(row));
        self.push(name, builder.finish().into_series())
    }

    fn column(&self, name: &str) -> Result<&Column, TableError> {
        self.0.column(name).map_err(|e| column_error(name, &e))
    }

    fn cast(&self, name: &str, to: &DataType) -> Result<Column, TableError> {
        self.column(name)?.strict_cast(to).map_err(|e| column_error(name, &e))
    }

    /// A text column.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, TableError> {
        let column = self.cast(name, &DataType::String)?;
        let values = column.str().map_err(|e| column_error(name, &e))?;
        require(name, values.iter().map(|v| v.map(str::to_owned)))
    }

    /// A column of texts, whole numbers or dates, as text.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, TableError> {
        let dtype = self.column(name)?.dtype();
        let plain = dtype.is_string() || dtype.is_integer() || dtype.is_decimal();
        if !(plain || dtype.is_categorical() || dtype.is_enum() || *dtype == DataType::Date) {
            return Err(unfit(name, dtype, "text, whole numbers or dates"));
        }
        guarded(|| self.strings(name))
            .unwrap_or_else(|reason| Err(TableError::Column { column: name.to_owned(), reason }))
    }

    /// A column of classes: whole numbers of any type, or names out of `classes`.
    pub fn labels(&self, name: &str, classes: &[String]) -> Result<Vec<u32>, TableError> {
        let dtype = self.column(name)?.dtype().clone();
        let bad = |reason: String| TableError::Column { column: name.to_owned(), reason };
        if dtype.is_string() || dtype.is_categorical() || dtype.is_enum() {
            let find = |text: String| match classes.iter().position(|c| *c == text) {
                Some(label) => Ok(label as u32),
                None if classes.is_empty() => Err(bad(format!(
                    "names classes (`{text}`), but the registry has no `classes` to look them up in"
                ))),
                None => Err(bad(format!("`{text}` is no class name"))),
            };
            return self.texts(name)?.into_iter().map(find).collect();
        }
        if !(dtype.is_integer() || dtype.is_decimal() || dtype.is_float()) {
            return Err(unfit(name, &dtype, "whole numbers or class names"));
        }
        let numbers = guarded(|| self.f64s(name)).unwrap_or_else(|reason| Err(bad(reason)))?;
        let whole = |v: f64| {
            let fits = v.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&v);
            if fits { Ok(v as u32) } else { Err(bad(format!("{v} is no class number"))) }
        };
        numbers.into_iter().map(whole).collect()
    }

    /// A column of numbers in double precision.
    pub fn f64s(&self, name: &str) -> Result<Vec<f64>, TableError> {
        let column = self.cast(name, &DataType::Float64)?;
        let values = column.f64().map_err(|e| column_error(name, &e))?;
        require(name, values.iter())
    }

    /// A column of byte strings, some of which may be missing.
    pub fn maybe_bytes(&self, name: &str) -> Result<Vec<Option<Vec<u8>>>, TableError> {
        self.optional_bytes(self.column(name)?.as_materialized_series())
    }

    /// A column of byte strings.
    pub fn bytes(&self, name: &str) -> Result<Vec<Vec<u8>>, TableError> {
        require(name, self.maybe_bytes(name)?.into_iter())
    }

    fn optional_bytes(&self, series: &Series) -> Result<Vec<Option<Vec<u8>>>, TableError> {
        let values = series.binary().map_err(|e| column_error(series.name(), &e))?;
        Ok(values.iter().map(|v| v.map(<[u8]>::to_vec)).collect())
    }

    /// Whether a column holds structures.
    pub fn is_struct(&self, name: &str) -> Result<bool, TableError> {
        Ok(self.column(name)?.dtype().is_struct())
    }

    /// A column of structures with optional `bytes` and `path`, as the hub stores images.
    pub fn files(&self, name: &str) -> Result<Vec<StoredFile>, TableError> {
        let column = self.column(name)?;
        let fields = column.as_materialized_series().struct_().map_err(|e| column_error(name, &e))?;
        let n = column.len();
        let bytes = match fields.field_by_name("bytes") {
            Ok(series) => self.optional_bytes(&series)?,
            Err(_) => vec![None; n],
        };
        let paths = match fields.field_by_name("path") {
            Ok(series) => {
                let texts = series.str().map_err(|e| column_error(name, &e))?;
                texts.iter().map(|v| v.map(str::to_owned)).collect()
            }
            Err(_) => vec![None; n],
        };
        Ok(bytes.into_iter().zip(paths).collect())
    }

    /// Names of a file's columns, from its footer.
    pub fn names(path: &Path) -> Result<Vec<String>, TableError> {
        let mut reader = ParquetReader::new(open(path)?);
        let schema = read_guarded(path, || reader.schema())?;
        Ok(schema.iter_names().map(std::string::ToString::to_string).collect())
    }

    /// A column of integers that fit 32 unsigned bits.
    pub fn u32s(&self, name: &str) -> Result<Vec<u32>, TableError> {
        let column = self.cast(name, &DataType::UInt32)?;
        let values = column.u32().map_err(|e| column_error(name, &e))?;
        require(name, values.iter())
    }

    /// A column of numbers.
    pub fn f32s(&self, name: &str) -> Result<Vec<f32>, TableError> {
        let column = self.cast(name, &DataType::Float32)?;
        let values = column.f32().map_err(|e| column_error(name, &e))?;
        require(name, values.iter())
    }

    /// A column of lists of integers, flattened.
    pub fn u32_lists(&self, name: &str) -> Result<Vec<u32>, TableError> {
        let flat = self.flattened(name)?;
        let values = flat.u32().map_err(|e| column_error(name, &e))?;
        require(name, values.iter())
    }

    /// A column of lists of numbers, flattened.
    pub fn f32_lists(&self, name: &str) -> Result<Vec<f32>, TableError> {
        let flat = self.flattened(name)?;
        let values = flat.f32().map_err(|e| column_error(name, &e))?;
        require(name, values.iter())
    }

    /// Whether a column holds lists.
    pub fn is_list(&self, name: &str) -> Result<bool, TableError> {
        Ok(self.column(name)?.dtype().is_list())
    }

    /// A column of lists of numbers, row by row.
    pub fn f64_rows(&self, name: &str) -> Result<Vec<Vec<f64>>, TableError> {
        let wrap = |e: PolarsError| column_error(name, &e);
        let list = self.column(name)?.list().map_err(wrap)?;
        let one = |i: usize| -> Result<Vec<f64>, TableError> {
            let Some(series) = list.get_as_series(i) else { return Ok(Vec::new()) };
            require(name, series.f64().map_err(wrap)?.iter())
        };
        (0..list.len()).map(one).collect()
    }

    fn flattened(&self, name: &str) -> Result<Series, TableError> {
        let list = self.column(name)?.list().map_err(|e| column_error(name, &e))?;
        Ok(list.get_inner())
    }
}

/// Where the pages of some columns and rows lie, as the footer says.
fn chunks(
    footer: &FileMetadata,
    columns: Option<&[&str]>,
    rows: Option<(usize, usize)>,
) -> Result<Vec<Chunk>, PolarsError> {
    let wanted = rows.map_or(0..usize::MAX, |(offset, length)| offset..offset.saturating_add(length));
    let mut all = Vec::new();
    let mut first = 0_usize;
    for group in &footer.row_groups {
        let end = first.saturating_add(group.num_rows());
        let read = first < wanted.end && wanted.start < end;
        first = end;
        for chunk in group.parquet_columns().iter().filter(|_| read) {
            let path = &chunk.descriptor().path_in_schema;
            let column = path.first().map(ToString::to_string).unwrap_or_default();
            if columns.is_none_or(|c| c.contains(&column.as_str())) {
                let values = u64::try_from(chunk.num_values()).map_err(|_| {
                    PolarsError::ComputeError(
                        format!("column `{column}` claims {} values", chunk.num_values()).into(),
                    )
                })?;
                all.push(Chunk { bytes: chunk.byte_range(), values, column });
            }
        }
    }
    Ok(all)
}

/// Damaged files make the reader panic here and there.
fn read_guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, PolarsError>) -> Result<T, TableError> {
    let damaged = |reason: String| TableError::Parquet { action: "read", path: path.to_owned(), reason };
    guarded(read).map_err(damaged)?.map_err(|e| parquet_error("read", path, &e))
}

fn parquet_error(action: &'static str, path: &Path, error: &PolarsError) -> TableError {
    TableError::Parquet { action, path: path.to_owned(), reason: error.to_string() }
}

/// The values of a column as CSV spells them; numbers as short as they read back.
fn csv_column(column: &Column) -> Result<Vec<String>, TableError> {
    let name = column.name();
    let wrap = |e: PolarsError| column_error(name, &e);
    let text = |v: Option<String>| v.unwrap_or_default();
    Ok(match column.dtype() {
        DataType::Float64 => {
            column.f64().map_err(wrap)?.iter().map(|v| text(v.map(|v| format!("{v:?}")))).collect()
        }
        DataType::Float32 => {
            column.f32().map_err(wrap)?.iter().map(|v| text(v.map(|v| format!("{v:?}")))).collect()
        }
        DataType::Boolean => {
            column.bool().map_err(wrap)?.iter().map(|v| text(v.map(|v| v.to_string()))).collect()
        }
        _ => {
            let cast = column.strict_cast(&DataType::String).map_err(wrap)?;
            cast.str().map_err(wrap)?.iter().map(|v| text(v.map(str::to_owned))).collect()
        }
    })
}

fn unfit(column: &str, dtype: &DataType, needed: &str) -> TableError {
    TableError::Column {
        column: column.to_owned(),
        reason: format!("is of type {dtype}; {needed} are needed"),
    }
}

fn column_error(column: &str, error: &PolarsError) -> TableError {
    TableError::Column { column: column.to_owned(), reason: error.to_string() }
}

fn require<T>(name: &str, values: impl Iterator<Item = Option<T>>) -> Result<Vec<T>, TableError> {
    let missing = || TableError::Column { column: name.to_owned(), reason: "has missing values".into() };
    values.map(|v| v.ok_or_else(missing)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rows: usize) -> Table {
        let mut table = Table::new(rows);
        table.push_strings("id", (0..rows).map(|i| format!("e{i}")).collect()).unwrap();
        table.push_u32("label", (0..rows as u32).collect()).unwrap();
        table.push_bytes("image", &(0..rows).map(|i| vec![i as u8; 3]).collect::<Vec<_>>()).unwrap();
        let scores: Vec<f32> = (0..rows * 2).map(|i| i as f32).collect();
        table.push_f32_lists("scores", &scores, 2).unwrap();
        table
    }

    #[test]
    fn round_trip_with_columns_and_ranges() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.parquet");
        sample(10_000).write(&path).unwrap();
        assert_eq!(Table::count(&path).unwrap(), 10_000);
        let part = Table::read(&path, Some(&["label", "scores", "image"]), Some((9_000, 5))).unwrap();
        assert_eq!(part.u32s("label").unwrap(), [9000, 9001, 9002, 9003, 9004]);
        assert_eq!(part.f32_lists("scores").unwrap()[..2], [18_000.0, 18_001.0]);
        assert_eq!(part.bytes("image").unwrap()[0], [40, 40, 40]);
        assert!(part.strings("id").is_err());
    }

    #[test]
    fn concat_stacks_rows() {
        let all = Table::concat(vec![sample(3), sample(2)]).unwrap();
        assert_eq!(all.u32s("label").unwrap(), [0, 1, 2, 0, 1]);
        assert_eq!(all.f32_lists("scores").unwrap().len(), 10);
    }

    #[test]
    fn damaged_files_are_errors_that_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.parquet");
        std::fs::write(&path, b"PAR1 this is not it").unwrap();
        let text = Table::read(&path, None, None).err().unwrap().to_string();
        assert!(text.contains("bad.parquet"), "{text}");
    }
}
