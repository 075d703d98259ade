//! Files as Apache makes them, changed under way.
