"""The map directory: EV chargers and battery swap stations as JSON. It asks nobody who may do what: nginx lets through
only what Gatepost allows, and tells it who asks."""

import json
import math
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

PLACES = json.loads((Path(__file__).parent / "places.json").read_text())
FILTERS = ("kind", "city", "min_power_kw", "near", "within_km")
NEEDED = ("name", "kind", "city", "latitude", "longitude")


class Wrong(Exception):
    """A request that cannot be answered, and why."""


def distance_km(place, latitude, longitude):
    north = math.radians(place["latitude"] - latitude)
    east = math.radians(place["longitude"] - longitude) * math.cos(math.radians(latitude))
    return 6371 * math.hypot(north, east)


def chosen(query):
    """The places that every filter keeps, nearest first where a point is given."""
    wanted = dict(parse_qsl(query, keep_blank_values=True))
    for name in wanted.keys() - set(FILTERS):
        raise Wrong(f"`{name}` is no filter; there are {', '.join(FILTERS)}")
    found = list(PLACES)
    try:
        if "kind" in wanted:
            found = [place for place in found if place["kind"] == wanted["kind"]]
        if "city" in wanted:
            found = [place for place in found if place["city"].casefold() == wanted["city"].casefold()]
        if "min_power_kw" in wanted:
            found = [place for place in found if place.get("power_kw", 0) >= float(wanted["min_power_kw"])]
        if "near" in wanted:
            latitude, longitude = map(float, wanted["near"].split(","))
            limit = float(wanted.get("within_km", "inf"))
            found = sorted((place for place in found if distance_km(place, latitude, longitude) <= limit),
                           key=lambda place: distance_km(place, latitude, longitude))
    except ValueError:
        raise Wrong("min_power_kw and within_km are numbers, near is LATITUDE,LONGITUDE") from None
    return found


class Directory(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        try:
            if url.path != "/mapdirectory/places/all":
                return self.answer(404, {"error": "no such place"})
            places = chosen(url.query)
        except Wrong as wrong:
            return self.answer(400, {"error": str(wrong)})
        return self.answer(200, {"asked_by": self.headers["X-Auth-User"], "count": len(places), "places": places})

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.path != "/mapdirectory/places":
            return self.answer(404, {"error": "no such place"})
        try:
            place = json.loads(text)
            missing = [name for name in NEEDED if name not in place]
        except (ValueError, TypeError):
            return self.answer(400, {"error": "no JSON object"})
        if missing:
            return self.answer(400, {"error": f"missing: {', '.join(missing)}"})
        PLACES.append({**place, "id": max(known["id"] for known in PLACES) + 1})
        return self.answer(201, PLACES[-1])

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", 8080), Directory).serve_forever()
