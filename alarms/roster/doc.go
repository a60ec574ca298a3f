// Package roster reads and writes the registry of facilities and panels as CSV
// tables (RFC 4180), the way an administrator keeps them.
//
// There are three kinds of table, told apart by the header:
//
//	facility_id,name,category,address,district,lat,lon,phone
//	account,facility_id,protocol,heartbeat_s
//	account,area,zone,kind,place
//
// Columns may stand in any order; facility_id, name, category and address, or
// account and facility_id, or account, zone and kind must be there. category is education, health, social
// or other. lat and lon are WGS 84 degrees, both or neither. An account is 3 to
// 16 hexadecimal digits (SIA DC-09), kept in upper case. heartbeat_s is the
// agreed period of link tests in seconds, 0 for none. area and zone are the
// panel's own numbers, digits; kind is what the loop detects, by the classes of
// package alarms; place is what people call it. A byte order mark is
// skipped; the text is UTF-8; semicolons are taken for commas when the header
// has no comma.
//
// Reading finds every mistake of a table with its line and column, and gives
// rows only when there is none. It does no other I/O than reading.
package roster
