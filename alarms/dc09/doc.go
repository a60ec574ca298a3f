// Package dc09 reads and writes ANSI/SIA DC-09 frames: the envelope that alarm
// panels put around an event on an IP network.
//
// A frame is LF, CRC, length, body, CR. The body runs from the first quote to
// the byte before CR; CRC and length count exactly its bytes. The work is in
// three steps, each usable alone:
//
//   - [Next] cuts the next frame out of a buffer by its length field, never by
//     looking for CR, because raw CRC bytes, padding and text may hold CR or LF;
//   - [Parse] reads the header, the data block, extended fields and timestamp;
//   - [AppendReply] and [AppendNAK] write what the panel is answered, echoing
//     sequence, receiver, line and account octet by octet.
//
// What events a data block holds is the business of packages contactid and
// siadcs. Text is returned as sent: its charset is not our business.
//
// The package does no I/O, keeps no state and starts no goroutine, so every
// function may be called from anywhere. Decoding never panics and never reads
// past the frame. Results of Next alias the caller's buffer; results of Parse
// do not.
//
// # Tolerance
//
// Accepted beyond the book, because fielded panels send it: the CRC as two raw
// bytes (answered in the same form), a CRC taken over body and CR, a length
// printed in decimal or counting the CR, NUL bytes after CR, an empty or missing
// line prefix, a missing account, lower-case hex. Which of them a frame needed
// is reported in [Frame.Quirks].
//
// Encrypted frames are recognised ([Message.Encrypted]) and their cipher text is
// handed over undecoded.
package dc09
