//! Draws what a terminal showed: text with ANSI colours in, an SVG picture of a window out. Called
//! by `make outage`; no part of the program.
//!
//!     cargo run --example picture -- FILE.ansi …      writes FILE.svg beside each

use std::io;
use std::path::PathBuf;

use anstyle::{Color, RgbColor};
use anstyle_svg::{Palette, Term};

/// The width of the terminal, that of docs/outage.sh.
pub const COLUMNS: usize = 120;

/// Of one character, with a reserve: which of the fonts a viewer has is not known.
const CHARACTER_PX: f64 = 8.7;

/// Around the text, as [`Term`] has it, and the height of the title bar.
const PADDING_PX: usize = 10;
const BAR_PX: usize = 28;

const GROUND: RgbColor = RgbColor(0x16, 0x1b, 0x22);
const INK: RgbColor = RgbColor(0xd7, 0xde, 0xe6);

/// The sixteen colours, each readable on the dark ground.
const COLORS: Palette = Palette([
    RgbColor(0x48, 0x4f, 0x58),
    RgbColor(0xff, 0x7b, 0x72),
    RgbColor(0x56, 0xd3, 0x64),
    RgbColor(0xe3, 0xb3, 0x41),
    RgbColor(0x79, 0xc0, 0xff),
    RgbColor(0xd2, 0xa8, 0xff),
    RgbColor(0x56, 0xd4, 0xdd),
    RgbColor(0xb1, 0xba, 0xc4),
    RgbColor(0x8b, 0x94, 0x9e),
    RgbColor(0xff, 0xa1, 0x98),
    RgbColor(0x7e, 0xe7, 0x87),
    RgbColor(0xf2, 0xcc, 0x60),
    RgbColor(0xa5, 0xd6, 0xff),
    RgbColor(0xe2, 0xc5, 0xff),
    RgbColor(0xa5, 0xf0, 0xf5),
    RgbColor(0xff, 0xff, 0xff),
]);

/// The picture of a terminal that shows this text.
#[must_use]
pub fn picture(ansi: &str) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let text_px = (COLUMNS as f64 * CHARACTER_PX).ceil() as usize;
    let lines = wrapped(ansi);
    let text = Term::new()
        .palette(COLORS)
        .fg_color(Color::Rgb(INK))
        .bg_color(Color::Rgb(GROUND))
        .background(false)
        .min_width_px(text_px)
        .render_svg(lines.trim_end_matches('\n'));
    let (width, height) = (text_px + 2 * PADDING_PX, BAR_PX + text_height(&text) + PADDING_PX / 2);
    let inner = text.replacen("<svg ", &format!("<svg y=\"{BAR_PX}\" "), 1);
    // In SVG a part of a line has no opacity of its own, but its ink has. 0.4 is hard to read.
    let inner = inner.replace(" opacity: 0.4;", " fill-opacity: 0.7;");
    let RgbColor(r, g, b) = GROUND;
    let mut picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"rgb({r},{g},{b})\"/>\n\
         <path d=\"M0 {BAR_PX} V8 A8 8 0 0 1 8 0 H{right} A8 8 0 0 1 {width} 8 V{BAR_PX} Z\" \
         fill=\"#30363d\"/>\n",
        right = width - 8
    );
    for (i, color) in ["#ff5f57", "#febc2e", "#28c840"].iter().enumerate() {
        let (x, y) = (18 + 20 * i, BAR_PX / 2);
        picture += &format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"6\" fill=\"{color}\"/>\n");
    }
    // No space before the end of a line: editors and git remark on it.
    picture += &inner.lines().map(str::trim_end).flat_map(|l| [l, "\n"]).collect::<String>();
    picture + "</svg>\n"
}

/// The height that an SVG document gives itself.
fn text_height(svg: &str) -> usize {
    let number = svg.split("height=\"").nth(1).and_then(|s| s.split("px").next());
    number.and_then(|n| n.parse().ok()).expect("anstyle-svg gives a height in pixels")
}

/// Lines broken where the terminal breaks them. What is between ESC and `m` has no width.
fn wrapped(ansi: &str) -> String {
    let mut out = String::new();
    let (mut column, mut in_escape) = (0, false);
    for c in ansi.chars() {
        match c {
            '\x1b' => in_escape = true,
            'm' if in_escape => in_escape = false,
            '\n' => column = 0,
            _ if in_escape => {}
            _ => {
                if column == COLUMNS {
                    out.push('\n');
                    column = 0;
                }
                column += 1;
            }
        }
        out.push(c);
    }
    out
}

fn main() -> io::Result<()> {
    for file in std::env::args_os().skip(1).map(PathBuf::from) {
        let ansi = std::fs::read_to_string(&file)?;
        std::fs::write(file.with_extension("svg"), picture(&ansi))?;
    }
    Ok(())
}
