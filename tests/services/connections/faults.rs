//! The points at which a server ends a connection, and the responses that a client must not trust.

use keyferry_testing::scripted_server::Ending;

/// A point in an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    Accept,
    InRequestHead,
    AfterRequestHead,
    InRequestBody,
    AfterRequest,
    InStatusLine,
    InResponseHeaders,
    AfterResponseHeaders,
    InResponseBody,
    AfterResponse,
}

/// Every point, in the order of an exchange.
pub(super) const POINTS: [Point; 10] = [
    Point::Accept,
    Point::InRequestHead,
    Point::AfterRequestHead,
    Point::InRequestBody,
    Point::AfterRequest,
    Point::InStatusLine,
    Point::InResponseHeaders,
    Point::AfterResponseHeaders,
    Point::InResponseBody,
    Point::AfterResponse,
];

/// A complete response with something odd about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// It says `Connection: close`, and the server leaves the connection open.
    ConnectionClose,
    /// It has the version HTTP/1.0, and the server leaves the connection open.
    Http10,
    /// It has no length. Its end is that of the connection.
    UntilClose,
    /// It is sent in chunks.
    Chunked,
    /// An informational response comes before it.
    EarlyHints,
    /// Bytes that are not HTTP follow in the same segment.
    GarbageBehind,
    /// A second response, with another package's token, follows in the same segment.
    ResponseBehind,
    /// Bytes that are not HTTP follow 20 ms later.
    GarbageLater,
    /// A second response, with another package's token, follows 20 ms later.
    ResponseLater,
    /// It is the response for another ID.
    OtherId,
    /// It has this status.
    Status(u16),
}

/// Every odd response.
pub(super) const ODD: [Odd; 21] = [
    Odd::ConnectionClose,
    Odd::Http10,
    Odd::UntilClose,
    Odd::Chunked,
    Odd::EarlyHints,
    Odd::GarbageBehind,
    Odd::ResponseBehind,
    Odd::GarbageLater,
    Odd::ResponseLater,
    Odd::OtherId,
    Odd::Status(302),
    Odd::Status(400),
    Odd::Status(401),
    Odd::Status(403),
    Odd::Status(404),
    Odd::Status(405),
    Odd::Status(410),
    Odd::Status(418),
    Odd::Status(429),
    Odd::Status(500),
    Odd::Status(503),
];

/// The way in which a server spoils an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    End(Point, Ending),
    Respond(Odd),
}

impl Fault {
    /// Returns the ending, if the server ends the connection at this point.
    pub(super) fn ends_at(self, point: Point) -> Option<Ending> {
        match self {
            Self::End(at, ending) if at == point => Some(ending),
            _ => None,
        }
    }

    /// Returns whether the client gets a complete, sound response, and nothing wrong after it.
    pub(super) fn is_harmless(self) -> bool {
        match self {
            // A reset may overtake the response.
            Self::End(Point::AfterResponse, ending) => ending != Ending::Reset,
            Self::End(..) => false,
            // The next read on the same connection may get the second response, and reject it.
            Self::Respond(Odd::OtherId | Odd::ResponseLater | Odd::Status(_)) => false,
            Self::Respond(_) => true,
        }
    }

    /// Returns whether the response is lost, so that nobody knows what the service did.
    pub(super) fn loses_response(self) -> bool {
        match self {
            Self::End(point, _) => point != Point::AfterResponse,
            Self::Respond(_) => false,
        }
    }
}

/// How often a fault occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Once,
    Always,
}
