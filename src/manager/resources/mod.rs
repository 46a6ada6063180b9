//! Resources that several lease by name.

pub(super) mod table;
