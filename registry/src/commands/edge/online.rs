//! What only the network can say of a deployment: whether images exist, whether parents show the right certificates, which hosts are
//! contacted. `edge check` appends what is found here to what it found in the files.
