package ttc

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

// What a driver of the first generation sends, whatever the ACCEPT says.
const nativeRequest = `de ad be ef 00 85 0b 20 02 00 00 04 00
	00 04 00 03 00 00 00 00 00 04 00 05 0b 20 02 00 00 08 00 01 00 00 10 1c 66 ec 28 ea
	00 12 00 01 de ad be ef 00 03 00 00 00 04 00 04 00 01 00 02 00 03
	00 01 00 03 00 00 00 00 00 04 00 05 0b 20 02 00 00 02 00 03 e0 e1 00 02 00 06 fc ff
	00 02 00 02 00 00 00 00 00 04 00 05 0b 20 02 00 00 01 00 01 00
	00 03 00 02 00 00 00 00 00 04 00 05 0b 20 02 00 00 01 00 01 00`

func TestNativeServicesVector(t *testing.T) {
	request := unhex(t, nativeRequest)
	var m NativeServices
	r := NewReader(request[1:])
	m.Decode(r)
	if r.Err() != nil || r.Buffered() != 0 {
		t.Fatalf("error %v, %d bytes left", r.Err(), r.Buffered())
	}
	if again := m.AppendTo(nil); !bytes.Equal(again, request) {
		t.Errorf("encoded again\n got % x\nwant % x", again, request)
	}
	want := unhex(t, `de ad be ef 00 79 0b 20 02 00 00 04 00
		00 04 00 03 00 00 00 00 00 04 00 05 0b 20 02 00 00 02 00 06 00 1f
		00 12 00 01 de ad be ef 00 03 00 00 00 04 00 04 00 01 00 02 00 03
		00 01 00 02 00 00 00 00 00 04 00 05 0b 20 02 00 00 02 00 06 fb ff
		00 02 00 02 00 00 00 00 00 04 00 05 0b 20 02 00 00 01 00 02 00
		00 03 00 02 00 00 00 00 00 04 00 05 0b 20 02 00 00 01 00 02 00`)
	if got := m.Answer().AppendTo(nil); !bytes.Equal(got, want) {
		t.Errorf("answer\n got % x\nwant % x", got, want)
	}
}

func TestNativeServicesRequired(t *testing.T) {
	m := NativeServices{Services: []NativeService{
		{Number: ServiceEncryption, Parts: []ServicePart{{PartRaw, []byte{17, 15}}}},
		{Number: ServiceIntegrity, Parts: []ServicePart{{PartRaw, []byte{6, 0}}}},
	}}
	answer := m.Answer()
	if answer.Services[0].Error != CodeIncompatible || answer.Services[1].Error != 0 {
		t.Errorf("errors %d and %d, want %d for the service the client insists on", answer.Services[0].Error, answer.Services[1].Error, CodeIncompatible)
	}
}

func TestNativeServicesRoundTrip(t *testing.T) {
	part := rapid.Custom(func(t *rapid.T) ServicePart {
		return ServicePart{rapid.Uint16().Draw(t, "type"), rapid.SliceOfN(rapid.Byte(), 0, 60).Draw(t, "data")}
	})
	service := rapid.Custom(func(t *rapid.T) NativeService {
		return NativeService{
			Number: rapid.Uint16().Draw(t, "number"), Error: rapid.Uint32().Draw(t, "error"),
			Parts: rapid.SliceOfN(part, 0, 5).Draw(t, "parts"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		checkCodec(t, codec{
			draw: func(t *rapid.T, _ Dialect) any {
				return NativeServices{Version: rapid.Uint32().Draw(t, "version"), Services: rapid.SliceOfN(service, 0, 5).Draw(t, "services")}
			},
			encode: func(m any, _ Dialect) []byte { v := m.(NativeServices); return v.AppendTo(nil) },
			decode: func(r *Reader, _ any, _ Dialect) any { var v NativeServices; r.Byte(); v.Decode(r); return v },
		})
	})
}

func TestNativeServicesRefused(t *testing.T) {
	for _, b := range []string{"ad be ee 00 0d 00 00 00 00 00 00 00", "ad be ef 00 0c 00 00 00 00 00 00 00", "ad be ef ff ff 00 00 00 00 00 00 00"} {
		r := NewReader(unhex(t, b))
		var m NativeServices
		if m.Decode(r); !errors.Is(r.Err(), ErrMalformed) {
			t.Errorf("%s: error %v", b, r.Err())
		}
	}
}

func FuzzNativeServices(f *testing.F) {
	f.Add(unhex(f, nativeRequest)[1:])
	f.Fuzz(func(_ *testing.T, data []byte) {
		r := NewReader(data)
		var m NativeServices
		if m.Decode(r); r.Err() == nil {
			m.Answer().AppendTo(nil)
		}
	})
}
