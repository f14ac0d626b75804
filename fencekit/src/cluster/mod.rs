//! The cluster file: model, parsing, errors with line and column.
