// A server on Go's golang.org/x/net/http2 that test/peers compares with ours.
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"golang.org/x/net/http2"
)

// Responds to a request when its body is complete, and never if its message begins with "later".
func respond(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		// Without a panic, the server would respond.
		panic(http.ErrAbortHandler)
	}
	if len(body) > 5 && bytes.HasPrefix(body[5:], []byte("later")) {
		<-r.Context().Done()
		return
	}
	_, _ = w.Write([]byte("ok"))
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	// Connection errors are results here, not messages.
	quiet := log.New(io.Discard, "", 0)
	base := &http.Server{MaxHeaderBytes: 256 << 10, ErrorLog: quiet}
	server := &http2.Server{MaxConcurrentStreams: 1024, MaxReadFrameSize: 16 << 10}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go server.ServeConn(conn, &http2.ServeConnOpts{BaseConfig: base, Handler: http.HandlerFunc(respond)})
	}
}
