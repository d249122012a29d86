"""What a proxy asks: the request nginx sends for a browser's with our include files, 18 headers, the same bytes for every server."""

OPEN, ASKED, LIMITED = "/open/1/lines", "/orders/1/lines", "/priced/1/lines"


def credentials(token):
    return [("Authorization", f"Bearer {token}")]


def headers(credential, uri=ASKED):
    return [
        ("Host", "api.example.com"),
        *credential,
        ("Cookie", "theme=dark; lang=en; consent=1; _ga=GA1.1.1234567890.1700000000"),
        ("Origin", "https://www.example.com"),
        ("Sec-Fetch-Site", "same-site"),
        ("X-Original-Method", "GET"),
        ("X-Original-URI", uri),
        ("X-Original-Host", "api.example.com"),
        ("X-Original-Proto", "https"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Request-Id", "7f3a9c0d5e1b48f2a6c4d8e0b1f39275"),
        *BROWSER,
    ]


# what a browser sends by itself
BROWSER = [
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "application/json, text/plain, */*"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", "https://www.example.com/orders"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
]


def text(asked, path="/verify"):
    return f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in asked) + "\r\n"


def rules(count):
    """`count` rules; the one that is asked about stands in the middle."""
    lines = [f"  - {{ id: r{n}, hosts: [api.example.com], methods: [GET], path: '/service-{n}/{{id}}', scopes: {{ all: [orders:read] }} }}"
             for n in range(count - 3)]
    asked = ("  - { id: asked, hosts: [api.example.com], methods: [GET, HEAD], path: '/orders/{id}/lines', scopes: { all: [orders:read] }, "
             "credentials: [token, api_key] }")
    lines.insert(count // 2, asked)
    # a rate and a quota that nothing uses up
    lines.append("  - { id: priced, hosts: [api.example.com], methods: [GET, HEAD], path: '/priced/{id}/lines', scopes: { all: [orders:read] }, "
                 "credentials: [token, api_key], limit: { rate: 1000000000/s, quota: 1000000000/month } }")
    lines.append("  - { id: open, path: /open/**, access: anonymous }")
    return "rules:\n" + "\n".join(lines) + "\n"
