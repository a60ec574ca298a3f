package sip

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
)

// MediaType is a body's type in lower case with its parameters; both empty when
// the header is missing or unreadable.
func (r Request) MediaType() (string, map[string]string) {
	v := r.First("content-type")
	if v == "" {
		return "", nil
	}
	t, params, err := mime.ParseMediaType(v)
	if err != nil {
		t, _, _ = strings.Cut(v, ";")
		return strings.ToLower(strings.TrimSpace(t)), nil
	}
	return t, params
}

// SDP finds the session description of an INVITE, UPDATE or ACK, alone or as a
// part of a multipart. No description at all is no refusal: the caller leaves
// the offer to us (RFC 3261 §13.2.1).
func SDP(r Request) ([]byte, *Refusal) {
	if f := unreadable(r); f != nil {
		return nil, f
	}
	if accept := r.List("accept"); len(accept) > 0 && !acceptsSDP(accept) {
		return nil, refuse(406, "Not Acceptable")
	}
	if len(bytes.TrimSpace(r.Body)) == 0 {
		return nil, nil
	}
	t, params := r.MediaType()
	switch {
	case t == "application/sdp", t == "" && bytes.HasPrefix(r.Body, []byte("v=0")):
		return r.Body, nil
	case strings.HasPrefix(t, "multipart/") && params["boundary"] != "":
		return sdpPart(r.Body, params["boundary"], maxNesting), nil
	case strings.EqualFold(ParseAddress(r.First("content-disposition")).Params["handling"], "optional"):
		return nil, nil // RFC 3261 §20.11: ignore it rather than refuse the call
	}
	return nil, refuse(415, "Unsupported Media Type", Header{"Accept", "application/sdp, multipart/mixed"})
}

// maxNesting bounds multiparts within multiparts.
const maxNesting = 3

func sdpPart(body []byte, boundary string, depth int) []byte {
	mr := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := mr.NextRawPart()
		if err != nil {
			return nil
		}
		t, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		within := strings.HasPrefix(t, "multipart/") && params["boundary"] != "" && depth > 1
		if err != nil || t != "application/sdp" && !within {
			continue
		}
		part, err := io.ReadAll(p)
		if err != nil {
			return nil
		}
		if within {
			part = sdpPart(part, params["boundary"], depth-1)
		}
		if part != nil {
			return part
		}
	}
}

// unreadable refuses a body that is compressed or enciphered.
func unreadable(r Request) *Refusal {
	if len(r.Body) == 0 {
		return nil
	}
	for _, e := range r.List("content-encoding") {
		if !strings.EqualFold(e, "identity") {
			return refuse(415, "Unsupported Media Type", Header{"Accept-Encoding", "identity"})
		}
	}
	return nil
}

func acceptsSDP(accept []string) bool {
	return slices.ContainsFunc(accept, func(a string) bool {
		t, _, _ := strings.Cut(a, ";")
		switch strings.ToLower(strings.TrimSpace(t)) {
		case "application/sdp", "application/*", "*/*":
			return true
		}
		return false
	})
}
