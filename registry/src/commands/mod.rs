//! The sub-commands, one file each. They are for operators: errors go to standard error and say what to do.
