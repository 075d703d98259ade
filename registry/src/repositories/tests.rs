//! What names mean where several registries are mirrored.
