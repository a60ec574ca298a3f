// Package siadcs reads the data block that DC-09 carries under the token
// SIA-DCS: events in the manner of ANSI/SIA DC-03, as panels really write them.
//
// A block is «N» (new) or «O» (old) and items: modifiers of two small letters
// (ti time, da date, ri area, id user, pi peripheral and others), which apply to
// the codes after them, and events of two capital letters, a number and a text.
// Slashes part items, and many panels leave them out. A second block «A…» after a
// bar holds free text.
//
// The table of codes is data: codes.tsv, embedded. Class and condition are the
// words of package alarms as plain text. A code that is not in the table is no
// error: it is an event that nobody described yet.
//
// Pure functions, no state but the table, no goroutines. All strings of an event
// are parts of the text that was parsed; text between carets keeps its spaces.
package siadcs
