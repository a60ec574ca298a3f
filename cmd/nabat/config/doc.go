// Package config is what an engine can be told, and the ways to tell it.
//
// There is one set of keys. A key stands in the YAML file named by --config, in
// the environment and on the command line under names that follow from each
// other: sip.udp, NABAT_SIP_UDP, --sip-udp. The command line wins over the
// environment, that over the file, that over the default. A key that does not
// exist or a value that cannot be stops the start, with file, line, column and
// reason (*FileError).
//
// So does a variable named NABAT_… that belongs to no key (*VariableError). A
// value that only the whole can judge (MistakesError) gets its line, too, when the
// file is where it came from.
//
// The package reads the file and the environment and nothing else, starts nothing and keeps nothing.
package config
