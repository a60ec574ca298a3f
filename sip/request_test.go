package sip

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func request(method string, headers ...string) Request {
	r := Request{Method: method, URI: "sip:112@city.example", Version: "SIP/2.0"}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Headers = append(r.Headers, Header{HeaderName(name), strings.TrimSpace(value)})
	}
	return r
}

func TestCaller(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		want    string
		headers []string
	}{
		{"+78121234567", []string{`From: "Анна" <sip:+7-812-123-45-67@gw;user=phone>;tag=1`}},
		{"88121234567", []string{"From: sip:88121234567@10.0.0.1;tag=1"}},
		{"+79110000001", []string{"From: <sip:anonymous@anonymous.invalid>;tag=1", "P-Asserted-Identity: <tel:+79110000001>"}},
		{"+79110000001", []string{"From: <sip:1@x>;tag=1", `P-Asserted-Identity: "a, b" <sip:+79119@ims.example>, <tel:+7(911)000-00-01;cpc=ordinary>`}},
		{"+79119", []string{"From: <sip:1@x>;tag=1", "P-Asserted-Identity: <sip:+79119@ims.example;user=phone>"}},
		{"", []string{`From: "Anonymous" <sip:anonymous@anonymous.invalid>;tag=1`}},
		{"", []string{"From: <sip:Restricted@gw>;tag=1"}},
		{"", []string{"From: <sip:gw.example>;tag=1"}},
		{"anna@home.example", []string{"From: <sips:anna:secret@home.example:5061;transport=tls>;tag=1"}},
		{"101", []string{"From: <sip:101;phone-context=+7812@gw>;tag=1"}},
		{"+7812", []string{"From: <sip:%2B7812@gw>;tag=1"}},
		{"+7812", []string{"f: <tel:+7812>;tag=1"}},
		{"*112#", []string{"From: <sip:*112%23@gw>;tag=1"}},
	} {
		require.Equal(t, c.want, Caller(request("INVITE", c.headers...)), "%v", c.headers)
	}
}

func TestCalled(t *testing.T) {
	t.Parallel()
	r := request("INVITE")
	require.Equal(t, "112", Called(r))
	r.URI = "urn:service:sos.fire"
	require.Equal(t, "urn:service:sos.fire", Called(r))
	r.URI = "tel:112;phone-context=+7"
	require.Equal(t, "112", Called(r))
}

func TestContactKeyIsTheSameForEveryCopyAndFitsAnIndex(t *testing.T) {
	t.Parallel()
	a := request("INVITE", "Call-ID: a;b", "From: <sip:1@x>;tag=t", "CSeq: 1 INVITE", "Via: one")
	b := request("INVITE", "i: a;b", "f: other <sip:1@x>;x=y;TAG=t", "CSeq: 1 INVITE", "Via: two")
	require.Equal(t, ContactKey(a), ContactKey(b))
	require.Equal(t, "sip;invite;a%3Bb;t;1", ContactKey(a))
	long := request("INVITE", "Call-ID: "+strings.Repeat("я", 4000), "From: <sip:1@x>;tag=t", "CSeq: 1 INVITE")
	require.Less(t, len(ContactKey(long)), 128)
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[ -~]{0,8}`)
		id1, id2 := part.Draw(t, "id1"), part.Draw(t, "id2")
		n1, n2 := rapid.Uint32().Draw(t, "n1"), rapid.Uint32().Draw(t, "n2")
		key := func(id string, n uint32) string {
			return ContactKey(Request{Method: "INVITE", Headers: []Header{{"call-id", id}, {"from", "<sip:a@b>;tag=1"}, {"cseq", fmt.Sprintf("%d INVITE", n)}}})
		}
		if (key(id1, n1) == key(id2, n2)) != (id1 == id2 && n1 == n2) {
			t.Fatalf("%q %d and %q %d", id1, n1, id2, n2)
		}
	})
}

func good(method string, more ...string) Request {
	return request(method, append([]string{
		"Via: SIP/2.0/UDP a;branch=z9hG4bKx", "From: <sip:1@x>;tag=t", "To: <sip:112@x>", "Call-ID: c", "CSeq: 1 " + method,
	}, more...)...)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	require.Nil(t, Check(good("INVITE")))
	require.Nil(t, Check(good("INVITE", "Content-Length: 4", "l: 4")))
	status := func(r Request) int {
		f := Check(r)
		require.NotNil(t, f)
		return f.Status
	}
	require.Equal(t, 400, status(good("INVITE", "f: <sip:2@x>;tag=u")))
	require.Equal(t, 400, status(good("INVITE", "l: 4", "Content-Length: 5")))
	require.Equal(t, 400, status(request("INVITE", "Via: a", "From: a", "Call-ID: c", "CSeq: 1 INVITE")))
	other := good("INVITE")
	other.Method = "OPTIONS"
	require.Equal(t, 400, status(other))
	other = good("INVITE")
	other.Version = "SIP/7.0"
	require.Equal(t, 505, status(other))
	require.Equal(t, 0, status(good("INVITE", "Subject: a\nEvil: b")))
	require.Equal(t, 0, status(request("INVITE", "From: a", "To: b", "Call-ID: c", "CSeq: 1 INVITE")), "no Via: nowhere to answer")

	require.Nil(t, CheckUse(good("INVITE", "Require: Timer", "Proxy-Require: foo")))
	require.Equal(t, 405, CheckUse(good("REGISTER")).Status)
	require.Equal(t, "foo, bar", CheckUse(good("INVITE", "Require: foo, timer", "Require: bar")).Headers[0].Value)
	scheme := good("INVITE")
	scheme.URI = "mailto:a@b"
	require.Equal(t, 416, CheckUse(scheme).Status)
	scheme.URI = "urn:service:sos"
	require.Nil(t, CheckUse(scheme))
}

func TestBodies(t *testing.T) {
	t.Parallel()
	const sdp = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n"
	r := good("INVITE", "c: Application/SDP")
	r.Body = []byte(sdp)
	got, f := SDP(r)
	require.Nil(t, f)
	require.Equal(t, sdp, string(got))

	// A car's or a phone's INVITE: location first, SDP last, an odd boundary, binary between.
	r = good("INVITE", `Content-Type: multipart/mixed; boundary="b ound"`)
	r.Body = []byte("preamble\r\n--b ound\r\nContent-Type: application/pidf+xml\r\n\r\n<x>\n</x>\r\n--b ound\r\nContent-Type: application/EmergencyCallData.eCall.MSD\r\n\r\n\x00\x01\n\x00\r\n--b ound\r\ncontent-type: APPLICATION/sdp\r\n\r\n" + sdp + "\r\n--b ound--\r\n")
	got, f = SDP(r)
	require.Nil(t, f)
	require.Equal(t, sdp, string(got))

	r = good("INVITE")
	got, f = SDP(r)
	require.Nil(t, f)
	require.Nil(t, got, "the offer is ours")

	r = good("INVITE", "Content-Type: application/unknown")
	r.Body = []byte("x")
	_, f = SDP(r)
	require.Equal(t, 415, f.Status)
	r = good("INVITE", "Content-Type: application/sdp", "e: gzip")
	r.Body = []byte("x")
	_, f = SDP(r)
	require.Equal(t, 415, f.Status)
	_, f = SDP(good("INVITE", "Accept: text/nobodyKnowsThis"))
	require.Equal(t, 406, f.Status)
}

func TestTextInEveryCharset(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, body, want string }{
		{"text/plain; charset=utf-8", "Помо\x00гите\x1b[2J\r\nздесь \xff", "Помогите[2J\nздесь \uFFFD"},
		{"text/plain", "\xef\xbb\xbfПожар", "Пожар"},
		{"text/plain;charset=UTF8", "Пожар", "Пожар"},
		{"text/plain; charset=ISO-8859-1", "\xe9", "é"},
		{"text/plain; charset=koi8-r", "\xf0\xcf\xd6\xc1\xd2", "Пожар"},
		{`text/plain; charset="Windows-1251"`, "\xcf\xee\xe6\xe0\xf0", "Пожар"},
		{"text/plain; charset=cp1251", "\xcf\xee\xe6\xe0\xf0", "Пожар"},
		{"text/plain; charset=windows-1251", "\xcf\x98\xe6", "П\uFFFDж"},
		{"text/plain; charset=ISO-8859-5", "\xbf\xde\xd6\xd0\xe0", "Пожар"},
		{"text/plain; charset=utf-16", "\xfe\xff\x04\x1f\x04\x3e", "По"},
		{"text/plain; charset=utf-16", "\xff\xfe\x1f\x04\x3e\x04", "По"},
		{"text/plain; charset=utf-16", "\x04\x1f\x04\x3e", "По"}, // RFC 2781 §4.3
		{"text/plain; charset=ISO-10646-UCS-2", "\x04\x1f\x04\x3e", "По"},
		{"text/plain; charset=ucs-2", "\xff\xfe\x1f\x04\x3e\x04", "По"},
		{"text/plain; charset=utf-16be", "\x04\x1f\xd8\x3d\xdd\x25", "П🔥"},
		{"text/plain; charset=utf-16le", "\xff\xfe\x1f\x04\x3e\x04", "По"},
		{"text/plain; charset=utf-16be", "\x04\x1f\x04", "П\uFFFD"},
		{"text/plain; charset=us-ascii", "fire", "fire"},
		{"text/plain; charset=us-ascii", "Пожар", "Пожар"},
		{"text/plain; charset=us-ascii", "fire \xcf", "fire \uFFFD"},
	} {
		m := good("MESSAGE", "Content-Type: "+c.kind)
		m.Body = []byte(c.body)
		text, f := Text(m)
		require.Nil(t, f, c.kind)
		require.Equal(t, c.want, text, c.kind)
	}
	for kind, accept := range map[string]string{
		"text/html":                       "text/plain",
		"text/plain; charset=klingon":     "text/plain;charset=utf-8",
		"text/plain; charset=utf-7":       "text/plain;charset=utf-8",
		"text/plain; charset=iso-2022-kr": "text/plain;charset=utf-8",
		"text/plain; charset=replacement": "text/plain;charset=utf-8",
	} {
		m := good("MESSAGE", "Content-Type: "+kind)
		m.Body = []byte("x")
		_, f := Text(m)
		require.NotNil(t, f, kind)
		require.Equal(t, 415, f.Status, kind)
		require.Equal(t, []Header{{"Accept", accept}}, f.Headers, kind)
	}
	for body, kind := range map[string]string{
		strings.Repeat("x", maxText+1):  "text/plain",
		strings.Repeat("\xcf", maxText): "text/plain;charset=koi8-r", // twice as long in UTF-8
	} {
		m := good("MESSAGE", "Content-Type: "+kind)
		m.Body = []byte(body)
		_, f := Text(m)
		require.NotNil(t, f)
		require.Equal(t, 413, f.Status)
	}
}

func TestTighten(t *testing.T) {
	t.Parallel()
	require.Equal(t, `"a ; b = c" <sip:x ;y = z>;tag=" t ";lr`, Tighten(` "a ; b = c" <sip:x ;y = z> ;  tag  = " t " ; lr `))
	require.Empty(t, Tighten(""))
}

func TestCleanCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	require.Equal(t, "я", Clean("яя", 3, false))
	require.Empty(t, Clean("я", 1, false))
}

func TestDialogTarget(t *testing.T) {
	t.Parallel()
	const trunk = "198.51.100.7:5080"
	for _, c := range []struct {
		name, contact, source string
		route                 []string
		want                  Target
	}{
		{"straight", "sip:a@198.51.100.9:5070", trunk, nil, Target{URI: "sip:a@198.51.100.9:5070", Next: "198.51.100.9:5070"}},
		{"default port", "sip:a@198.51.100.9;transport=udp", trunk, nil, Target{URI: "sip:a@198.51.100.9;transport=udp", Next: "198.51.100.9:5060"}},
		{"behind NAT", "sip:a@192.168.1.4", trunk, nil, Target{URI: "sip:a@192.168.1.4", Next: trunk}},
		{"private trunk", "sip:a@192.168.1.4", "192.168.1.1:5060", nil, Target{URI: "sip:a@192.168.1.4", Next: "192.168.1.4:5060"}},
		{"a name is not looked up", "sip:a@pbx.example", trunk, nil, Target{URI: "sip:a@pbx.example", Next: trunk}},
		{"no contact", "", trunk, nil, Target{URI: "sip:" + trunk, Next: trunk}},
		{"IPv6", "sip:a@[2001:db8::1]:5066", trunk, nil, Target{URI: "sip:a@[2001:db8::1]:5066", Next: "[2001:db8::1]:5066"}},
		{"loose route", "sip:a@192.0.2.4", trunk, []string{"<sip:198.51.100.7:5080;lr>", "<sip:p2;lr>"},
			Target{URI: "sip:a@192.0.2.4", Route: []string{"<sip:198.51.100.7:5080;lr>", "<sip:p2;lr>"}, Next: trunk}},
		{"strict route", "sip:a@192.0.2.4", trunk, []string{"<sip:198.51.100.8>", "<sip:p2;lr>"},
			Target{URI: "sip:198.51.100.8", Route: []string{"<sip:p2;lr>", "<sip:a@192.0.2.4>"}, Next: "198.51.100.8:5060"}},
	} {
		got := DialogTarget(c.contact, c.route, c.source)
		got.Fresh = ""
		require.Equal(t, c.want, got, c.name)
	}
}

func TestAFreshConnectionGoesToWhereSomebodyListens(t *testing.T) {
	t.Parallel()
	const source = "198.51.100.7:41234"
	for _, c := range []struct {
		contact string
		route   []string
		want    string
	}{
		{"sip:a@198.51.100.9:5070;transport=tcp", nil, "198.51.100.9:5070"},
		{"sip:a@pbx.example:5070", nil, "198.51.100.7:5070"},
		{"sip:a@192.168.1.4", nil, "198.51.100.7:5060"},
		{"", nil, "198.51.100.7:5060"},
		{"sip:a@192.168.1.4", []string{"<sip:sbc.example:5080;lr>"}, "198.51.100.7:5080"},
	} {
		require.Equal(t, c.want, DialogTarget(c.contact, c.route, source).Fresh, c.contact)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(`"a, \" b" <sip:+7(812)1@gw;user=phone?x=y>;tag=t, <tel:1>`, "multipart/mixed; boundary=b", []byte("--b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, value, kind string, body []byte) {
		r := request("INVITE")
		r.Headers = append(r.Headers, Header{"from", value}, Header{"p-asserted-identity", value}, Header{"call-id", value}, Header{"cseq", value}, Header{"content-type", kind})
		r.URI, r.Body = value, body
		// Laws: what goes to the database is clean, a key is short printable ASCII.
		for _, s := range []string{Caller(r), Called(r)} {
			require.LessOrEqual(t, len(s), maxParty)
			require.Equal(t, s, Clean(s, maxParty, false))
		}
		require.LessOrEqual(t, len(ContactKey(r)), maxKey)
		require.True(t, printable(ContactKey(r)))
		_, _ = SDP(r)
		if text, f := Text(r); f == nil {
			require.Equal(t, text, Clean(text, maxText, true))
		}
		DialogTarget(value, []string{value}, "192.0.2.1:5060")
		Check(r)
		CheckUse(r)
	})
}
