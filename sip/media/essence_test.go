package media

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A caller is heard whose description is readable in all that matters.
func TestFormalFaultsCostNobodyTheVoice(t *testing.T) {
	t.Parallel()
	const whole = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=call\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\na=sendonly\r\nm=audio 4000 RTP/AVP 0 8\r\na=rtpmap:8 PCMA/8000\r\n"
	want, err := ParseSDP([]byte(whole))
	require.NoError(t, err)
	for name, text := range map[string]string{
		"no s=":          strings.Replace(whole, "s=call\r\n", "", 1),
		"no o=":          strings.Replace(whole, "o=- 1 1 IN IP4 192.0.2.9\r\n", "", 1),
		"no t=":          strings.Replace(whole, "t=0 0\r\n", "", 1),
		"spaces in o=":   strings.Replace(whole, "o=-", "o=my phone", 1),
		"a= before t=":   strings.Replace(whole, "t=0 0\r\na=sendonly\r\n", "a=sendonly\r\nt=0 0\r\n", 1),
		"unknown line":   strings.Replace(whole, "t=0 0\r\n", "t=0 0\r\ng=x\r\n", 1),
		"small letters":  strings.Replace(whole, "RTP/AVP", "rtp/avp", 1),
		"bare LF":        strings.ReplaceAll(whole, "\r\n", "\n"),
		"only the sound": "c=IN IP4 192.0.2.9\r\na=sendonly\r\nm=audio 4000 RTP/AVP 0 8\r\na=rtpmap:8 PCMA/8000\r\n",
	} {
		got, err := ParseSDP([]byte(text))
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
}
