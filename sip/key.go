package sip

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxKey keeps a contact's key within what a B-tree page takes; Call-IDs of
// several hundred octets are legal (RFC 4475 §3.1.1.7).
const maxKey = 512

// ContactKey names one INVITE or MESSAGE for all its copies: method, Call-ID,
// From tag and CSeq number. Retransmissions share it whatever path they took,
// and it stays the same over a restart of ours.
func ContactKey(r Request) string {
	number, _, _ := strings.Cut(strings.TrimSpace(r.First("cseq")), " ")
	parts := []string{strings.ToLower(r.Method), r.First("call-id"), r.FromTag(), number}
	for i, p := range parts {
		parts[i] = escapeKey(p)
	}
	key := "sip;" + strings.Join(parts, ";")
	if len(key) > maxKey {
		sum := sha256.Sum256([]byte(key))
		return "sip;sha256;" + hex.EncodeToString(sum[:])
	}
	return key
}

// escapeKey leaves printable ASCII but the separator and the escape itself, so
// that different parts never give the same key.
func escapeKey(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c > ' ' && c < 0x7f && c != ';' && c != '%' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
