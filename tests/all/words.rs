//! Choices written as words, as the arguments of a program have them.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::Duration;

use offheap::{
    Strategy,
    config::{CoreDumps, HugePages, IdleMemory, MemoryMode, Populate, ZeroPolicy},
    error::{AllocationKind, UnknownWord},
};

/// That these are all the words of a choice, and that nothing else is one.
fn assert_words<T>(called: &str, words: &[(T, &'static str)])
where
    T: Copy + PartialEq + Debug + Display + FromStr<Err = UnknownWord>,
{
    let known: Vec<_> = words.iter().map(|(_, word)| *word).collect();
    for (choice, word) in words {
        assert_eq!(choice.to_string(), *word);
        assert_eq!(word.parse(), Ok(*choice));
        assert_eq!(format!("{choice:>24}|{choice:<24}|"), format!("{word:>24}|{word:<24}|"));
        let mut others = vec![format!("{word} "), format!(" {word}"), word.to_uppercase()];
        others.extend([String::new(), word[1..].to_owned(), format!("{choice:?}")]);
        for other in others {
            let refused = other.parse::<T>().unwrap_err();
            assert_eq!((refused.choice, refused.known), (called, &known[..]));
            let text = format!("a {called} of `{other}` is not {}", known.join(" or "));
            assert_eq!(refused.to_string(), text);
        }
    }
}

#[test]
fn every_choice_is_a_word_and_comes_back_from_it() {
    assert_words(
        "strategy",
        &[(Strategy::SmallestFit, "smallest-fit"), (Strategy::LargestFit, "largest-fit")],
    );
    assert_words("mode", &[(MemoryMode::OffHeap, "off-heap"), (MemoryMode::Heap, "heap")]);
    assert_words(
        "zero policy",
        &[
            (ZeroPolicy::Never, "never"),
            (ZeroPolicy::OnAllocate, "on-allocate"),
            (ZeroPolicy::OnRelease, "on-release"),
        ],
    );
    assert_words(
        "huge page policy",
        &[
            (HugePages::Transparent, "transparent"),
            (HugePages::Never, "never"),
            (HugePages::HugeTlb, "huge-tlb"),
        ],
    );
    assert_words(
        "populate policy",
        &[
            (Populate::Lazy, "lazy"),
            (Populate::Eager, "eager"),
            (Populate::Background, "background"),
        ],
    );
    assert_words(
        "core dump policy",
        &[(CoreDumps::Include, "include"), (CoreDumps::Exclude, "exclude")],
    );
    assert_words(
        "kind of allocation",
        &[
            (AllocationKind::Page, "page"),
            (AllocationKind::Block, "block"),
            (AllocationKind::Reservation, "reservation"),
        ],
    );
}

#[test]
fn a_policy_for_idle_memory_is_a_word_with_its_numbers() {
    let on_release = |above_bytes, down_to_bytes| {
        let policy = IdleMemory::ReturnOnRelease { above_bytes, down_to_bytes };
        (policy, format!("return-on-release:{above_bytes}:{down_to_bytes}"))
    };
    let in_background = |every, pause| {
        let policy = IdleMemory::ReturnInBackground { above_bytes: 4096, down_to_bytes: 1, every };
        (policy, format!("return-in-background:4096:1:{pause}"))
    };
    let policies = [
        (IdleMemory::Keep, "keep".to_owned()),
        on_release(0, 0),
        on_release(usize::MAX, 1 << 20),
        in_background(Duration::ZERO, "0s"),
        in_background(Duration::from_nanos(1), "1ns"),
        in_background(Duration::from_nanos(1_500), "1500ns"),
        in_background(Duration::from_micros(20), "20us"),
        in_background(Duration::from_millis(1_500), "1500ms"),
        in_background(Duration::from_secs(90), "90s"),
        in_background(Duration::MAX, "18446744073709551615999999999ns"),
    ];
    for (policy, text) in policies {
        assert_eq!((policy.to_string(), text.parse()), (text.clone(), Ok(policy)));
        assert_eq!(format!("{policy:>70}|"), format!("{text:>70}|"));
    }
    assert_eq!("return-in-background:2:1:3000ms".parse(), {
        let every = Duration::from_secs(3);
        Ok(IdleMemory::ReturnInBackground { above_bytes: 2, down_to_bytes: 1, every })
    });
}

#[test]
fn any_other_text_is_no_policy_for_idle_memory() {
    let wrong = [
        "",
        "Keep",
        "keep:",
        "keep:1:1",
        "return-on-release",
        "return-on-release:1",
        "return-on-release:1:",
        "return-on-release:2:1:0",
        "return-on-release:-2:1",
        "return-on-release:18446744073709551616:1",
        "return-in-background:2:1",
        "return-in-background:2:1:5",
        "return-in-background:2:1:s",
        "return-in-background:2:1:1.5s",
        "return-in-background:2:1:-1s",
        "return-in-background:2:1:1 s",
        "return-in-background:2:1:18446744073709551616s",
        "return-in-background:2:1:340282366920938463463374607431768211455s",
    ];
    for text in wrong {
        let refused = text.parse::<IdleMemory>().unwrap_err();
        let expected = format!(
            "a policy for idle memory of `{text}` is not keep or \
             return-on-release:ABOVE_BYTES:DOWN_TO_BYTES or \
             return-in-background:ABOVE_BYTES:DOWN_TO_BYTES:EVERY"
        );
        assert_eq!(refused.to_string(), expected);
    }
}
