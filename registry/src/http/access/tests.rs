//! Who may write from where, address by address.
