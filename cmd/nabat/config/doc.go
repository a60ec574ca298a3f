// Package config is what an engine can be told, and the ways to tell it.
//
// There is one set of keys. A key stands in the YAML file named by --config, in
// the environment and on the command line under names that follow from each
// other: sip.udp, NABAT_SIP_UDP, --sip-udp. The command line wins over the
// environment, that over the file, that over the default. A key that does not
// exist or a value that cannot be stops the start, with file, line, column and
// reason (*FileError).
//
// The package reads the file and nothing else, starts nothing and keeps nothing.
package config
