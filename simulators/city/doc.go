// Package city makes up the demo city: a St. Petersburg that never was.
//
// The proportions are the real city's published ones (6,406 monitored
// facilities by category and by equipment, contacts and notifications a day);
// every name, address, phone number, position and account is invented. The
// outlines of the 18 administrative districts are sketches drawn by hand from
// general knowledge of the town: good for a demo's map and for asking «which
// district», useless for surveying. No geodata of anybody's is in them.
//
// Everything is a pure function of a seed: the same seed gives the same city,
// byte for byte, on every machine. Nothing here does I/O or keeps state.
//
//	Build      the facilities with their panels and zones
//	Districts  the outlines, and GeoJSON of them
//	History    one made-up day as a list of timed facts
//	Teller     what callers say: kinds of trouble, places, words
//
// Phone numbers use codes that nobody is given: +7 812 000-xx-xx (a subscriber's
// number never begins with 0) for facilities, +7 000 xxx-xx-xx for callers.
package city
