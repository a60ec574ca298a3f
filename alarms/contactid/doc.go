// Package contactid reads the Ademco Contact ID event «QXYZ GG CCC» that DC-09
// carries under the token ADM-CID, and holds the table of its codes.
//
// The table is data: codes.tsv, embedded, one line per code with its class, kind
// and titles. Class and condition are the words of package alarms as plain text,
// so that this package needs nothing but the standard library. A code that is not
// in the table is no error: it is an event that nobody described yet.
//
// Pure functions, no state but the table, no goroutines.
package contactid
